"""Killed half-way and started again, in parallel or on a Dask cluster: the same bytes as one undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocessing.volumes import app
from tests.preprocessing.phantoms import nifti, texture

ROOT = Path(__file__).parents[2]
VOLUMES = 40
OPTIONS = ("--image", "*flair*", "--label", "*seg*")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    for number in range(VOLUMES):
        label = np.zeros((64, 64, 30), np.uint8)
        label[20:30, 20:30, 10:12] = 1
        nifti(folder / f"p{number}" / "flair.nii.gz", texture((64, 64, 30), number))
        nifti(folder / f"p{number}" / "seg.nii.gz", label)
    return folder


def start(folder: Path, output: Path, key: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "preprocessing.volumes", str(folder), str(output), *OPTIONS, "--key", str(key)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def records(output: Path) -> set[Path]:
    return set((output / ".records").glob("p*.json"))


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(cohort: Path, tmp_path: Path, key: Path, run: Any) -> None:
    undisturbed = run(app, cohort, *OPTIONS, name="undisturbed")
    assert undisturbed.exit_code == 0
    output = tmp_path / "killed"
    process = start(cohort, output, key)
    deadline = time.monotonic() + 120
    while len(records(output)) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = records(output)
    assert 5 <= len(done) < VOLUMES  # it was half-way indeed
    assert not (output / "manifest.csv").exists()
    times = {path: path.stat().st_mtime_ns for path in done}
    resumed = run(app, cohort, *OPTIONS, name="killed")
    assert resumed.exit_code == 0
    assert resumed.files() == undisturbed.files()
    assert {path: path.stat().st_mtime_ns for path in done} == times  # what was done was not done again


def test_finished_run_does_nothing_again(cohort: Path, run: Any) -> None:
    first = run(app, cohort, *OPTIONS)
    times = {path: path.stat().st_mtime_ns for path in first.output.rglob("*.png")}
    again = run(app, cohort, *OPTIONS)
    assert again.files() == first.files()
    assert {path: path.stat().st_mtime_ns for path in again.output.rglob("*.png")} == times


def test_changed_source_and_lost_output_are_done_again(tmp_path: Path, run: Any) -> None:
    folder = tmp_path / "in"
    for number in range(3):
        nifti(folder / f"p{number}" / "flair.nii.gz", texture((8, 8, 4), number))
    first = run(app, folder, "--normal")
    before = first.files()
    (first.output / first.rows[0]["output"]).unlink()
    assert run(app, folder, "--normal").files() == before
    nifti(folder / "p1" / "flair.nii.gz", texture((8, 8, 4), 77))
    fresh = run(app, folder, "--normal", name="fresh")
    assert run(app, folder, "--normal").files() == fresh.files()


def test_removed_patient_leaves_nothing_behind(tmp_path: Path, run: Any) -> None:
    folder = tmp_path / "in"
    for number in range(5):
        nifti(folder / f"p{number}" / "flair.nii.gz", texture((8, 8, 4), number))
    run(app, folder, "--normal")
    os.unlink(folder / "p1" / "flair.nii.gz")
    fresh = run(app, folder, "--normal", name="fresh")
    assert run(app, folder, "--normal").files() == fresh.files()


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--workers", 2), ("--workers", 2, "--dask", "local")])
def test_parallel_gives_the_same_bytes(tmp_path: Path, run: Any, options: tuple) -> None:
    if "--dask" in options:
        pytest.importorskip("dask.distributed")
    folder = tmp_path / "in"
    for number in range(6):
        nifti(folder / f"p{number}" / "flair.nii.gz", texture((8, 8, 4), number))
    (folder / "p3" / "flair.nii.gz").write_bytes(b"no volume")
    alone, together = run(app, folder, "--normal", name="alone"), run(app, folder, "--normal", *options)
    assert alone.exit_code == together.exit_code == 1
    assert alone.files() == together.files()
