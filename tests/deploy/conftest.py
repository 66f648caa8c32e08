"""A folder of studies, what `qfae predict` finds in it, and MONAI Label's server on it, in the server's environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import seal_again
from tests.reading.dicom_factory import series

ROOT = Path(__file__).parents[2]
APP = ROOT / "deploy" / "monailabel"
STARTS_WITHIN, ENDS_WITHIN = 300, 600  # seconds

sys.path.insert(0, str(APP))  # as MONAI Label does, for the parts of the app


def serve(studies: Path, model: Path, port: int, log: Path, *options: str, program: Path) -> subprocess.Popen[bytes]:
    """The command of `make label-server`; what it says goes to `log`."""
    given = ["--studies", str(studies), "--model", str(model), "--port", str(port), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, str(program), *given], cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )


def copy_of(model: Path, target: Path, *, thresholds: bool = True) -> Path:
    """A model folder of its own, with or without thresholds."""
    shutil.copytree(model, target)
    if not thresholds:
        (target / "calibration.json").unlink()
        seal_again(target)
    return target


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def request(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=120) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def finished(url: str) -> dict[str, Any]:
    """The last task of /train/ or /scoring/, when it has ended."""
    end = time.monotonic() + ENDS_WITHIN
    while time.monotonic() < end:
        status, task = request(url)
        if status == 200 and task["status"] not in ("SUBMITTED", "RUNNING"):
            return task
        time.sleep(0.5)
    raise TimeoutError(f"{url}: {task}")


@pytest.fixture(scope="session")
def model(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with thresholds, after one epoch."""
    folder = tmp_path_factory.mktemp("made") / "model"
    settings = {"preset": "tiny", "dataset_dir": str(scans), "model_dir": str(folder), "max_epochs": 1}
    Bundle(["train", "datasets/phantoms"], {**settings, "val_interval": 1}).run("training")
    Bundle(["train", "datasets/phantoms", "evaluate", "calibrate"], settings).run("calibrating")
    return folder


@pytest.fixture(scope="session")
def studies(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes, DICOM series in folders, and what must be refused: one slice, a gap."""
    folder = tmp_path_factory.mktemp("studies")
    for path in (scans / "image").iterdir():
        shutil.copy(path, folder / path.name)
    normal = nib.Nifti1Image.from_filename(folder / "training-000.nii.gz")
    pixels = np.asarray(normal.dataobj).astype(np.int16).transpose(2, 1, 0)
    series(folder / "1.2.840.7", pixels)
    series(folder / "gap", pixels, skip=[7], SeriesInstanceUID="1.2.3.4")
    nib.save(nib.Nifti1Image(pixels[0][..., None], np.eye(4)), folder / "flat.nii.gz")
    if "QFAE_REAL_DATA" in os.environ:
        shutil.copytree(Path(os.environ["QFAE_REAL_DATA"]) / "brainix_dicom" / "FLAIR", folder / "FLAIR")
        os.chmod(folder / "FLAIR", 0o755)
    return folder


@pytest.fixture(scope="session")
def predicted(studies: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder that `qfae predict` wrote of each study, by the hash of its input."""
    output = tmp_path_factory.mktemp("predicted")
    qfae = [sys.executable, "-c", "from qfae_monai.cli import main; main()"]
    command = [*qfae, "predict", "-i", str(studies), "-o", str(output), "-m", str(model)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 3  # the ones to be refused
    return {json.loads(path.read_text())["input_sha256"]: path.parent for path in output.rglob("scores.json")}


@pytest.fixture(scope="session")
def server(
    studies: Path, model: Path, predicted: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """Address with the token, and process id, when all studies are scored."""
    with serving(studies, model, tmp_path_factory.mktemp("log") / "server.log") as started:
        finished(f"{started[0]}/scoring/")
        yield started


@contextmanager
def serving(
    studies: Path, model: Path, log: Path, *options: str, program: Path = APP / "serve.py"
) -> Iterator[tuple[str, int]]:
    """A server's address with the token, and process id, while it runs."""
    process = serve(studies, model, free_port(), log, *options, program=program)
    try:
        url = _address(process, log)
        while request(f"{url}/info/")[0] != 200:
            time.sleep(0.5)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """What the server prints for 3D Slicer, when it listens."""
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        text = log.read_text()
        if "Uvicorn running" in text:
            found = re.search(r"Python: (\S+)", text) or re.search(r"Uvicorn running on (\S+)", text)
            return found[1] if found else ""
        time.sleep(0.5)
    raise TimeoutError(log.read_text())


@dataclass(frozen=True)
class Place:
    """A folder of studies with the app on it in this process, and beside it what no request may reach.

    Attributes:
        studies: the folder.
        secret: a volume outside of it.
    """

    studies: Path
    secret: Path

    def outside(self) -> dict[str, tuple[bytes, int]]:
        """Bytes and time of all files beside the studies."""
        files = [path for path in self.studies.parent.rglob("*") if self.studies not in (path, *path.parents)]
        beside = [*files, *(path for path in APP.rglob("*") if path.suffix in (".py", ".json"))]
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in beside if path.is_file()}

    def escapes(self) -> list[str]:
        """Names that would lead to the files outside, if they were paths."""
        stem = str(self.secret).removesuffix(".nii.gz")
        beside = f"../{self.secret.parent.name}/secret"
        inside = ["./test-000", "labels/final/test-000"]
        return [stem, f"{stem}.nii.gz", beside, f"x/../{beside}", f"file://{stem}", str(APP / "main"), *inside]


@pytest.fixture(scope="session")
def place(scans: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    from monailabel.config import settings  # noqa: PLC0415  (its environment may be missing)
    from monailabel.interfaces.utils.app import app_instance  # noqa: PLC0415
    from serve import load  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("place")
    place = Place(folder / "studies", folder / "beside" / "secret.nii.gz")
    for target in (place.studies, place.secret.parent):
        target.mkdir()
    for path in (scans / "image").glob("test-*"):
        shutil.copy(path, place.studies / path.name)
    shutil.copy(place.studies / "test-001.nii.gz", place.secret)
    (place.studies / "broken.nii.gz").write_bytes(b"no volume")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "environ", os.environ.copy())
        patched.setattr(tempfile, "tempdir", str(place.studies / ".server" / "temporary"))
        own = {"APP_DIR": APP, "STUDIES": place.studies, "SESSION_PATH": place.studies / ".server" / "sessions"}
        for name, path in own.items():
            patched.setattr(settings, f"MONAI_LABEL_{name}", str(path))
        load(place.studies, {"model": str(model), "weights": str(folder), "trust": "no"})
        app_instance().server_mode(True)
        yield place


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Tasks that would have been started in processes of their own."""
    from monailabel.utils.async_tasks import task  # noqa: PLC0415

    found: list[tuple[str, dict[str, Any]]] = []

    def instead(request: dict[str, Any], method: str) -> dict[str, Any]:
        found.append((method, request))
        return {"id": "0", "status": "SUBMITTED", "start_ts": ""}

    monkeypatch.setattr(task, "run_background_task", instead)
    return found
