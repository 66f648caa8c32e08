"""A folder of studies, what `qfae predict` finds in it, and MONAI Label's server on it, in the server's environment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tests.bundles.conftest import BUNDLE
from tests.data.dicom_factory import series
from tests.predict.conftest import bundle, checkpoint, scans

__all__ = ["bundle", "checkpoint", "scans"]

ROOT = Path(__file__).parents[2]
APP = ROOT / "deploy" / "monailabel"
PHANTOMS = BUNDLE / "configs" / "datasets" / "phantoms.json"
STARTS_WITHIN, ENDS_WITHIN = 120, 240  # seconds

sys.path.insert(0, str(APP))  # as MONAI Label does, for the parts of the app


def serve(studies: Path, checkpoint: Path, port: int, log: Path, *options: str) -> subprocess.Popen[bytes]:
    """The command of `make label-server`; what it says goes to `log`."""
    command = [sys.executable, str(APP / "serve.py"), "--studies", str(studies), "--checkpoint", str(checkpoint),
               "--port", str(port), "--config", str(PHANTOMS), *options]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as stream:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT)


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
def predicted(studies: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder that `qfae predict` wrote of each study, by the hash of its input."""
    output = tmp_path_factory.mktemp("predicted")
    command = [str(Path(sys.executable).with_name("qfae")), "predict", "-i", str(studies), "-o", str(output),
               "--checkpoint", str(checkpoint), "--preset", "tiny", "--config", str(PHANTOMS)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 3  # the ones to be refused
    return {json.loads(path.read_text())["input_sha256"]: path.parent for path in output.rglob("scores.json")}


@pytest.fixture(scope="session")
def server(
    studies: Path, checkpoint: Path, predicted: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """Address and process id, when all studies are scored."""
    port, log = free_port(), tmp_path_factory.mktemp("log") / "server.log"
    process = serve(studies, checkpoint, port, log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process, log)
        finished(f"{url}/scoring/")
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        try:
            assert request(f"{url}/info/")[0] == 200
            return
        except urllib.error.URLError:
            time.sleep(0.5)
    raise TimeoutError(url)
