"""Start the server on this machine's own address: `python deploy/monailabel/serve.py --studies DIR`.

Everything is checked before the server listens: a wrong folder or model is one line and exit code 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import sys
import tempfile
from pathlib import Path

APP = Path(__file__).resolve().parent
ROOT = APP.parents[1]
WEIGHTS = ROOT / "bundles/qfae/models/pretrained"
HOST = "127.0.0.1"  # MONAI Label's own default is every network
LOGGED = "[%(asctime)s] [%(process)s] [%(levelname)s] (%(name)s) - %(message)s"
OPEN = "no token: every account of this machine can read these studies and save labels"
GUARDED = """the address holds the token of this start, keep it to yourself
in a browser:               {url}/?token={token}
in 3D Slicer, curl, Python: {url}/{token}"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve a QFAE model to viewers of this machine.")
    parser.add_argument("--studies", type=Path, required=True, help="folder of volumes and DICOM folders")
    parser.add_argument("--model", type=Path, default=ROOT / "demo/model", help="model folder, or a packed one (.zip)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of frozen networks that are not in it")
    parser.add_argument("--trust", action="store_true", help="run a model's configurations that others wrote: code")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--allow-upload", action="store_true", help="let viewers add studies and open sessions")
    parser.add_argument("--allow-delete", action="store_true", help="let viewers remove studies and labels")
    parser.add_argument("--upload-limit", type=_megabytes, default=1024, help="MB of an uploaded volume or label")
    parser.add_argument("--no-token", action="store_true", help="answer every account of this machine")
    return parser.parse_args()


def main() -> None:
    """Check, load, serve."""
    given = arguments()
    if not given.studies.is_dir():
        sys.exit(f"error: {given.studies}: expected a folder of studies, got no such folder")
    if not given.model.exists():
        sys.exit(f"error: {given.model}: expected a model folder (`make demo` trains a small one), got no such folder")
    studies = given.studies.resolve()
    conf = {
        "model": str(given.model.resolve()),
        "weights": str(given.weights.resolve()),
        "trust": "yes" if given.trust else "no",
    }
    load(studies, conf)
    serve(given)


def load(studies: Path, conf: dict[str, str]) -> None:
    """The app, with its model in memory; MONAI Label keeps it for the server that starts after it."""
    from lib.own_folder import open_own_folder  # noqa: PLC0415

    try:
        _settle(studies, conf, open_own_folder(studies))
        from monailabel.interfaces.utils.app import app_instance  # noqa: PLC0415  (reads the environment)

        app_instance(str(APP), str(studies), conf).served.model()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")


def serve(given: argparse.Namespace) -> None:
    """Answer requests until Ctrl-C."""
    import uvicorn  # noqa: PLC0415
    from lib.connections import BoundedConnection  # noqa: PLC0415
    from lib.gate import Options  # noqa: PLC0415
    from local import application  # noqa: PLC0415

    token = None if given.no_token else secrets.token_urlsafe(32)
    options = Options(token, given.allow_upload, given.allow_delete, given.upload_limit << 20)
    said = OPEN if token is None else GUARDED.format(url=f"http://{HOST}:{given.port}", token=token)
    logging.basicConfig(level=logging.INFO, format=LOGGED)
    print(said, flush=True)  # noqa: T201
    app, http = application(options), BoundedConnection
    uvicorn.run(app, host=HOST, port=given.port, http=http, log_config=None, access_log=False)


def _settle(studies: Path, conf: dict[str, str], own: Path) -> None:
    """What MONAI Label reads from the environment, here and in its tasks' processes: it writes within the studies."""
    os.environ.update(
        {
            "MONAI_LABEL_APP_DIR": str(APP),
            "MONAI_LABEL_STUDIES": str(studies),
            "MONAI_LABEL_APP_CONF": json.dumps(conf),
            "MONAI_LABEL_SESSION_PATH": str(own / "sessions"),
            "TMPDIR": str(own / "temporary"),
            "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(APP)]),
            "HF_HUB_OFFLINE": "1",
        }
    )
    tempfile.tempdir = os.environ["TMPDIR"]  # a library may have asked for another one before it was set


def _megabytes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1 << 20:
        raise argparse.ArgumentTypeError(f"expected a whole number of megabytes, got {text}")
    return int(text)


if __name__ == "__main__":
    main()
