"""The plan as a file: whole round trips, comments for each key, refusals by the key's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from qfae_monai.model.plan import SCHEMA, Plan
from qfae_monai.model.planning import make_plan
from qfae_monai.model.split import split
from tests.model.made_up import found, scan

SCANS = found(*[scan(f"n{number}") for number in range(10)])
PLAN = make_plan(SCANS, split(SCANS))


def changed(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({**PLAN.values(), **changes}))
    return path


def test_round_trip_with_a_comment_for_every_key(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(replace(PLAN, learning_rate=8e-5).text())
    assert Plan.read(file) == replace(PLAN, learning_rate=8e-5)
    lines = file.read_text().splitlines()
    for key in SCHEMA:
        place = next(number for number, line in enumerate(lines) if line.startswith(f"{key}:"))
        assert lines[place - 1].startswith("# ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epoch": 3}, "got also 'epoch'"),
        ({"axis": 3}, "axis: expected a whole number from 0 to 2"),
        ({"image_size": 100}, "image_size: expected a multiple of 16"),
        ({"levels": [99.5, 0.5]}, "levels: expected the smaller number first"),
        ({"levels": [-200, 250]}, "levels: expected percentiles"),
        ({"encoder": "resnet50"}, "weights: expected the folder of resnet50 and none"),
        ({"preset": "tiny"}, "perceptual: expected random with preset tiny, got none"),
        ({"preset": "small", "perceptual": "random"}, "expected both to be random"),
        ({"encoder": "in-house", "perceptual": "in-house"}, "weights: expected the folder"),
        ({"weights": "$open('x')"}, "weights: expected a path"),
        ({"slice_share": [0.2, 1.5]}, "expected a finite number from 0 to 1"),
        ({"slice_share": [0.9, 0.2]}, "slice_share: expected the smaller number first"),
        ({"slice_share": [0.2, 0.9], "slice_range": [1, 5]}, "slice_share: expected slices by share or by slice_range"),
        ({"seed": "@rank"}, "seed: expected a whole number"),
        ({"views": 0}, "views: expected a whole number from 1"),
    ],
)
def test_what_is_no_plan_is_refused_by_key(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    file = changed(tmp_path / "plan.yaml", **changes)
    with pytest.raises(ValueError, match=rf"plan\.yaml: .*{words.replace('[', '.').replace('(', '.')}"):
        Plan.read(file)


def test_a_plan_of_an_earlier_version_takes_all_slices(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    later = {"slice_share", "views"}
    file.write_text(yaml.safe_dump({key: value for key, value in PLAN.values().items() if key not in later}))
    assert Plan.read(file) == PLAN


def test_missing_and_repeated_keys_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("seed: 1\n")
    with pytest.raises(ValueError, match="missing modality"):
        Plan.read(file)
    file.write_text(PLAN.text() + "seed: 1\n")
    with pytest.raises(ValueError, match="expected each key once, got seed 2 times"):
        Plan.read(file)


def test_settings_are_keys_of_the_training() -> None:
    settings = PLAN.settings()
    assert settings["changes"] == {"image_size": 64, "score_over_pixels": "mean"}
    assert (settings["slice_axis"], settings["max_epochs"]) == (2, PLAN.epochs)
    window = replace(PLAN, intensity="window", levels=[0, 80]).settings()["intensity"]
    assert (window["a_min"], window["a_max"]) == (0, 80)


def test_values_of_this_machine_can_be_left_out_of_the_file() -> None:
    """The folder of the weights is nobody else's, and the plan is written although it is not looked at."""
    assert "\nweights: models/pretrained\n" in PLAN.text(weights="models/pretrained")
