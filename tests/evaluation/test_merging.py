"""Folds merged: the same files as one run over all cases, and no patient twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.merging import merge_runs
from qfae_monai.evaluation.page import write_report
from qfae_monai.evaluation.run_folder import RunFolder
from tests.evaluation.run_folder_factory import make_run_folder


def halves(folder: Path, **arguments: object) -> list[Path]:
    """Cases 0 to 3 and 4 to 7, whose patients differ."""
    return [
        make_run_folder(folder / str(first), cases=4, first=first, **arguments)  # type: ignore[arg-type]
        for first in (0, 4)
    ]


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_merged_folds_are_one_run_over_all_cases(kind: Literal["volume", "image"], tmp_path: Path) -> None:
    whole = make_run_folder(tmp_path / "whole", cases=8, kind=kind, calibrated=False)
    merged = merge_runs(halves(tmp_path, kind=kind, calibrated=False), tmp_path / "merged", name="both")
    for table in ("slices", "volumes", "lesions"):
        assert (merged / f"{table}.csv").read_bytes() == (whole / f"{table}.csv").read_bytes()
    found, wanted = RunFolder(merged).pixels, RunFolder(whole).pixels
    for place in ("maps", "cases", "neighbour_cases"):
        one, other = getattr(found, place), getattr(wanted, place)
        assert list(one) == list(other) != []
        assert all(np.array_equal(one[name].normal, other[name].normal) for name in one)
    assert summarise(merged)["metrics"] == summarise(whole)["metrics"]
    assert write_report(merged).is_file()


def test_run_json_says_what_was_merged(tmp_path: Path) -> None:
    merged = merge_runs(halves(tmp_path), tmp_path / "merged", name="both")
    run = RunFolder(merged).run
    assert run["name"] == "both"
    assert run["calibration"] is None
    assert run["data"]["cases"] == 8
    assert run["checkpoint"]["file"] == "2 checkpoints, one per fold"


def test_a_patient_of_two_folds_is_refused(tmp_path: Path) -> None:
    runs = [make_run_folder(tmp_path / "a", cases=4), make_run_folder(tmp_path / "b", cases=2, first=3)]
    with pytest.raises(ValueError, match="expected each patient in one fold, got patient003 in several"):
        merge_runs(runs, tmp_path / "merged", name="both")


def test_other_kinds_other_settings_and_nothing_are_refused(tmp_path: Path) -> None:
    runs = halves(tmp_path)
    content = json.loads((runs[1] / "run.json").read_text())
    (runs[1] / "run.json").write_text(json.dumps({**content, "configuration": {"metric": "l1"}}))
    with pytest.raises(ValueError, match="expected runs of one configuration"):
        merge_runs(runs, tmp_path / "merged", name="both")
    image = make_run_folder(tmp_path / "image", cases=4, first=8, kind="image")
    with pytest.raises(ValueError, match="expected runs of one kind, got volume"):
        merge_runs([runs[0], image], tmp_path / "merged", name="both")
    with pytest.raises(ValueError, match="at least one run folder"):
        merge_runs([], tmp_path / "merged", name="both")
