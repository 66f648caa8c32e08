"""Reading a run folder: what was written comes back, and what is wrong is named with its file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from qfae_monai.evaluation.run_folder import RunFolder
from tests.evaluation.run_folder_factory import make_run_folder


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_reads_all_files(tmp_path: Path, kind: Literal["volume", "image"]) -> None:
    run = RunFolder(make_run_folder(tmp_path / "run", kind=kind, cases=6, unlabelled=1))
    assert run.kind == kind
    assert len(run.volumes) == run.run["data"]["cases"] == 6
    assert len(run.slices) == run.run["slices"]["scored"]
    assert set(run.pixels.cases) == set(run.volumes["case"][:5].tolist())
    assert np.isnan(run.volumes["label"]).tolist() == [False] * 5 + [True]
    inside = run.slices["lesion_pixels"][run.slices["label"] == 1].sum()
    assert run.pixels.maps["anomaly_map"].lesion.sum() == inside


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"run: expected the output folder"):
        RunFolder(tmp_path / "run")
    run = RunFolder(make_run_folder(tmp_path / "run", cases=2))
    (run.path / "volumes.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"volumes\.csv: missing"):
        _ = run.slices


# [file, what is replaced, by what, message]
BAD_FILES = [
    ("slices.csv", "case,patient,slice", "case,patient,number", r"slices\.csv: expected columns .*; missing slice"),
    (
        "slices.csv",
        "case000,patient000,2,0.181818182,",
        "case000,patient000,2,nan,",
        r"line 3: expected a finite number",
    ),
    ("slices.csv", "case000,patient000,2,", "case000,patient000,two,", r"line 3: expected a number in column slice"),
    ("slices.csv", "case000,patient000,2,", "case000,patient000,1,", r"line 3: expected each case and slice once"),
    (
        "slices.csv",
        "case000,patient000,2,",
        "case000,patient009,2,",
        r"case case000 the patient patient000, got patient009",
    ),
    ("slices.csv", "case000,patient000,2,", "case009,patient000,2,", r"as volumes\.csv lacks the case"),
    ("slices.csv", "case000,patient000,2,", "case000,patient000,2,,", r"line 3: expected 17 cells, got 18"),
    (
        "run.json",
        '"kind": "volume"',
        '"kind": "movie"',
        r"kind: expected one of volume, image, got 'movie'",
    ),
    ("run.json", '"device"', '"machine"', r"run\.json: .*expected the keys .*missing device"),
    ("run.json", '"device"', "device", r"run\.json: expected a JSON object, got .*Expecting property name"),
]


@pytest.mark.parametrize(("file", "before", "after", "message"), BAD_FILES)
def test_a_bad_file_is_refused(tmp_path: Path, file: str, before: str, after: str, message: str) -> None:
    run = RunFolder(make_run_folder(tmp_path / "run", cases=2))
    text = (run.path / file).read_text()
    assert before in text
    (run.path / file).write_text(text.replace(before, after, 1))
    with pytest.raises(ValueError, match=message):
        _ = (run.kind, run.slices)


def test_a_nan_score_a_missing_score_and_an_unknown_label_are_refused(tmp_path: Path) -> None:
    for name, cell, message in (
        ("score", "nan", "expected a finite number in column score, got 'nan'"),
        ("score", "inf", "expected a finite number in column score, got 'inf'"),
        ("score", "", "line 2: expected a score, got an empty cell"),
        ("label", "2", "line 2: label must be 0, 1 or empty, got 2"),
    ):
        run = RunFolder(make_run_folder(tmp_path / "run", cases=2))
        lines = (run.path / "slices.csv").read_text().splitlines()
        cells = lines[1].split(",")
        cells[lines[0].split(",").index(name)] = cell
        (run.path / "slices.csv").write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
        with pytest.raises(ValueError, match=message):
            _ = run.slices


def test_pixels_of_another_run_are_refused(tmp_path: Path) -> None:
    run = RunFolder(make_run_folder(tmp_path / "run", cases=2))
    other = make_run_folder(tmp_path / "other", cases=4)
    (other / "pixels.npz").replace(run.path / "pixels.npz")
    with pytest.raises(ValueError, match=r"expected cases of volumes\.csv, got also case002, case003"):
        _ = run.pixels


def test_evaluation_must_be_there_to_be_read(tmp_path: Path) -> None:
    run = RunFolder(make_run_folder(tmp_path / "run", cases=2))
    with pytest.raises(FileNotFoundError, match=r"evaluation\.json: missing"):
        _ = run.evaluation
    (run.path / "evaluation.json").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="expected a JSON object, got a list of 1"):
        _ = run.evaluation
