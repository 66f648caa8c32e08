"""Ended from outside while two workers write: none goes on, nothing is half-written, a rerun resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from preprocessing.volumes import app
from qfae_monai.files import LOCK, PARTIAL
from tests.preprocessing.phantoms import nifti, texture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

ROOT = Path(__file__).parents[2]
COMMAND = """
import os, signal, sys, time
from pathlib import Path

from preprocessing import command
from preprocessing.volumes import Volumes
from qfae_monai.recipes import worker
from qfae_monai.files import whole_file

class Slow(Volumes):
    def cut(self, source):
        worker.write_whole = write_slowly  # in the worker's own process
        yield from super().cut(source)

def write_slowly(path, content):
    with whole_file(path) as partial:
        partial.write_text(str(os.getpid()))
        time.sleep(120)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
folder, output, key = map(Path, sys.argv[1:])
png = command.FormatName.png8
command.run_recipe(Slow(normal=True), folder, output, seed=42, format=png, workers=2, dask=None, key=key)
"""


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    for number in range(4):
        nifti(tmp_path / "in" / f"p{number}" / "flair.nii.gz", texture((8, 8, 4), number))
    return tmp_path / "in"


def until(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def partials(output: Path) -> list[Path]:
    return [path for path in output.rglob(f"{PARTIAL}*") if path.is_file()]


def is_running(pid: int) -> bool:
    """Whether a process is there, and not only waiting to be collected by its parent."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "number", "code"),
    [
        (os.kill, signal.SIGTERM, 143),
        (os.killpg, signal.SIGINT, 130),  # to workers, too: as a terminal sends Ctrl-C, and that it closes
        (os.killpg, signal.SIGHUP, 129),
        (os.kill, signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_no_worker_goes_on_and_a_rerun_resumes(
    cohort: Path, run: Any, send: Any, number: signal.Signals, code: int
) -> None:
    output = cohort.parent / "out"
    arguments = [sys.executable, "-c", COMMAND, str(cohort), str(output), str(cohort.parent / "test.key")]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(arguments, cwd=ROOT, start_new_session=True, **quiet) as process:
        try:
            until(lambda: sum(path.stat().st_size > 0 for path in partials(output)) == 2, 240)
            workers = [int(path.read_text()) for path in partials(output)]
            assert len({*workers, process.pid}) == 3
            send(process.pid, number)
            assert process.wait(60) == code
        finally:
            process.kill()
    until(lambda: not any(map(is_running, workers)), 10)
    if number != signal.SIGKILL:
        assert not partials(output)
        assert not (output / LOCK).exists()
    resumed = run(app, cohort, "--normal")
    assert resumed.exit_code == 0, resumed.text
    assert not partials(output)
    assert resumed.files() == run(app, cohort, "--normal", name="undisturbed").files()
