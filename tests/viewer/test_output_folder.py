"""What of an output folder is shown: complete studies in the order of their scores, why others are not, and no more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.viewer.output_folder import OutputFolder
from tests.viewer.output_factory import make_output


def test_studies_come_with_the_highest_score_first(output: Path) -> None:
    listing = OutputFolder(output).listing()
    assert [row["study"] for row in listing["studies"]] == ["head 3 # %2F ü", "head-2", "head-1"]
    scores = [row["score"] for row in listing["studies"]]
    assert scores == sorted(scores, reverse=True)
    assert [row["above_threshold"] for row in listing["studies"]] == [True, True, False]
    assert listing["folder"] == "output"
    reason = "missing-slice: expected a gap of 5 mm, got 10 mm"
    assert listing["failed"] == [{"study": "broken", "reason": reason}]


def test_a_study_that_a_run_adds_or_scores_anew_is_seen(tmp_path: Path) -> None:
    path = make_output(tmp_path / "output", ["a"])
    folder = OutputFolder(path)
    before = folder.listing()["studies"]
    shutil.copytree(path / "a", path / "b")
    scores = json.loads((path / "a" / "scores.json").read_text())
    (path / "a" / "scores.json").write_text(json.dumps({**scores, "score": 123.5}))
    after = folder.listing()["studies"]
    assert [row["study"] for row in after] == ["a", "b"]
    assert (after[0]["score"], after[1]["score"]) == (123.5, before[0]["score"])


def test_what_is_not_complete_is_named_with_its_reason(tmp_path: Path) -> None:
    path = make_output(tmp_path / "output", ["good", "no-map", "no-json", "no-score"])
    (path / "no-map" / "anomaly_map.nii.gz").unlink()
    (path / "no-json" / "scores.json").write_text("{")
    (path / "no-score" / "scores.json").write_text('{"score": NaN, "slices": []}')
    shutil.copytree(path / "good", path / ".new.unfinished")
    folder = OutputFolder(path)
    listing = folder.listing()
    assert [row["study"] for row in listing["studies"]] == ["good"]
    reasons = {row["study"]: row["reason"] for row in listing["failed"]}
    assert reasons.pop("broken")
    assert reasons.keys() == {"no-map", "no-json", "no-score"}
    assert reasons["no-map"] == "no anomaly_map.nii.gz"
    assert reasons["no-json"].startswith("scores.json: ")
    assert reasons["no-score"].endswith("is not: NaN where a finite number belongs")
    assert folder.scores("no-score") is None


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("p_value", float("inf"), "Infinity where a finite number belongs"),
        ("p_value", 1.5, "p_value: expected a finite number from 0 to 1, got 1.5"),
        ("slices", [{"slice": 1, "score": "high"}], "slices[0].score: expected a finite number, got 'high'"),
        ("slices", [{"score": 1.0}], "slices[0]: expected the keys slice, score, missing slice"),
        ("pixel_threshold", "$open('x')", "pixel_threshold: expected a finite number"),
        ("above_threshold", 1, "above_threshold: expected true or false, got 1"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, key: str, value: Any, reason: str) -> None:
    path = make_output(tmp_path / "output", ["a", "b"])
    scores = json.loads((path / "a" / "scores.json").read_text())
    (path / "a" / "scores.json").write_text(json.dumps(scores | {key: value}))
    folder = OutputFolder(path)
    reasons = {row["study"]: row["reason"] for row in folder.listing()["failed"]}
    assert reasons["a"].startswith("scores.json: ")
    assert reason in reasons["a"]
    assert folder.scores("a") is None


def test_without_calibration_there_is_no_mask(tmp_path: Path) -> None:
    folder = OutputFolder(make_output(tmp_path / "output", ["a"], calibrated=False))
    shown = folder.scores("a")
    assert shown is not None
    assert shown["has_mask"] is False
    assert folder.file("a", "mask.nii.gz") is None


@pytest.mark.parametrize("study", ["", ".", "..", "a/../a", "/", "\\", "..\\a", "a\0", "a" * 5000, ".hidden", "link"])
def test_only_the_studies_own_files_are_found(tmp_path: Path, study: str) -> None:
    path = make_output(tmp_path / "output", ["a"])
    (path / "scores.json").write_text("{}")
    (tmp_path / "scores.json").write_text("{}")
    (path / "link").symlink_to(tmp_path)
    folder = OutputFolder(path)
    assert folder.file("a", "scores.json") == (path / "a" / "scores.json").resolve()
    assert folder.file("a", "overlay.png") is None
    assert folder.file(study, "scores.json") is None


def test_a_link_out_of_a_study_is_not_followed(tmp_path: Path) -> None:
    path = make_output(tmp_path / "output", ["a"])
    (tmp_path / "secret.nii.gz").write_bytes(b"secret")
    (path / "a" / "mask.nii.gz").unlink()
    (path / "a" / "mask.nii.gz").symlink_to(tmp_path / "secret.nii.gz")
    assert OutputFolder(path).file("a", "mask.nii.gz") is None


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: expected an output folder .* got no such folder"):
        OutputFolder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="got no study in it"):
        OutputFolder(tmp_path)
    path = make_output(tmp_path / "output", ["a"])
    (path / "a" / "image.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"expected a complete study, got 2 failed; the first is a: no image.nii.gz"):
        OutputFolder(path)
