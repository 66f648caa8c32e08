"""Start the server on this machine's own address: `python deploy/monailabel/serve.py --studies DIR`.

Everything is checked before the server listens: a wrong folder, checkpoint or preset is one line and exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

APP = Path(__file__).resolve().parent
ROOT = APP.parents[1]
HOST = "127.0.0.1"  # MONAI Label has no password unless one is set up, and its own default is every network


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve a QFAE checkpoint to viewers of this machine.")
    parser.add_argument("--studies", type=Path, required=True, help="folder of volumes and DICOM folders")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "demo/model/model.pt", help="what a training wrote")
    parser.add_argument("--preset", default="tiny", help="the one that the checkpoint was trained with")
    parser.add_argument("--config", type=Path, action="append", default=[], help="further overlay of the training")
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles/qfae", help="the bundle's folder")
    parser.add_argument("--port", type=int, default=8000)
    return parser.parse_args()


def main() -> None:
    """Check, load, serve."""
    given = arguments()
    if not given.studies.is_dir():
        sys.exit(f"error: {given.studies}: expected a folder of studies, got no such folder")
    if not given.checkpoint.is_file():
        sys.exit(f"error: {given.checkpoint}: expected a checkpoint (`make demo` trains a small one), got no such file")
    sessions = given.studies.resolve() / ".sessions"  # what viewers upload stays with the studies
    os.environ.update({"MONAI_LABEL_SESSION_PATH": str(sessions), "HF_HUB_OFFLINE": "1"})
    conf = {
        "bundle": str(given.bundle.resolve()),
        "checkpoint": str(given.checkpoint.resolve()),
        "preset": given.preset,
        "config": ",".join(str(path.resolve()) for path in given.config),
    }
    studies = str(given.studies.resolve())
    load(studies, conf)
    serve(studies, conf, given.port)


def load(studies: str, conf: dict[str, str]) -> None:
    """The app, with its model in memory; MONAI Label keeps it for the server that starts after it."""
    from monailabel.interfaces.utils.app import app_instance  # noqa: PLC0415  (reads the environment)

    try:
        app_instance(str(APP), studies, conf).served.model()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")


def serve(studies: str, conf: dict[str, str], port: int) -> None:
    """MONAI Label's own command."""
    from monailabel.main import Main  # noqa: PLC0415

    settings = [word for item in conf.items() for word in ("--conf", *item)]
    place = ["--app", str(APP), "--studies", studies, "--host", HOST, "--port", str(port), "--uvicorn_app", "local:app"]
    sys.argv = ["monailabel", "start_server", *place, *settings]
    Main(actions="start_server").run()


if __name__ == "__main__":
    main()
