"""Figures of the reconstruction: sentences on them, their table, and scores that do not use the reconstruction."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.reconstruction import SAME_SCORE, reconstruction_cautions
from qfae_monai.evaluation.reconstruction_table import reconstruction_rows
from tests.evaluation.run_folder_factory import make_run_folder

NAN = float("nan")
GOOD: dict[str, Any] = {
    "reconstruction": {"used_by_score": True, "relative_error": 0.5, "variation": 0.9},
    "metrics": {"slice": {"auroc": {"value": 0.8, "low": 0.7, "high": 0.9}}},
    "shortcuts": [{"level": "slice", "feature": "rival_mean_image", "auroc": 0.6, "rivals": False}],
}
TEST_CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"reconstruction": {"used_by_score": True, "relative_error": NAN, "variation": NAN}}, []),
    (
        {"reconstruction": {"used_by_score": True, "relative_error": 0.81, "variation": 0.9}},
        ["Hardly better than one image: .* 0.81 of that"],
    ),
    (
        {"reconstruction": {"used_by_score": True, "relative_error": 0.5, "variation": 0.42}},
        ["do not follow their input: .* vary 0.42 times"],
    ),
    (
        {"reconstruction": {"used_by_score": False, "relative_error": 1.0, "variation": 0.42}},
        [
            "^The score does not use the reconstruction, so the mean image through the same score is the same score",
            "do not follow their input",
        ],
    ),
    (
        {"metrics": {"slice": {"auroc": {"value": 0.3, "low": 0.2, "high": 0.49}}}},
        [r"Wrong way round: slice AUROC is 0\.300 \(0\.200 to 0\.490\), below chance"],
    ),
    ({"metrics": {"slice": {"auroc": {"value": 0.3, "low": 0.1, "high": 0.51}}}}, []),
    ({"metrics": {"slice": {"auroc": {"value": 0.3, "low": NAN, "high": NAN}}}}, []),
    (
        {"shortcuts": [{"level": "slice", "feature": "rival_mean_image", "auroc": 0.79, "rivals": True}]},
        [r"does not beat the mean training image through its own score on slices: AUROC 0\.800, mean image 0\.790"],
    ),
]


@pytest.mark.parametrize(("change", "expected"), TEST_CASES)
def test_what_is_said(change: dict[str, Any], expected: list[str]) -> None:
    levels: Any = [SimpleNamespace(name="slice")]
    found = reconstruction_cautions({**GOOD, **change}, levels)
    assert len(found) == len(expected)
    for sentence, pattern in zip(found, expected, strict=True):
        assert re.search(pattern, sentence), sentence


def of_run(folder: Path, layers: list[int] | None, **settings: Any) -> dict[str, Any]:
    """`evaluation.json` of a run whose score has two maps of the reconstruction, and behind them four of neighbours."""
    make_run_folder(folder, cases=24, **settings)
    run = json.loads((folder / "run.json").read_text())
    groups = {"model::target_blocks::0": [2], "model::target_blocks::1": [4]}
    run["configuration"] = {**groups, "model::score_neighbours": True, "model::score_layers": layers}
    (folder / "run.json").write_text(json.dumps(run))
    return summarise(folder)


def test_each_figure_has_its_meaning_and_limit(tmp_path: Path) -> None:
    summary = of_run(tmp_path / "run", None, mean_image=True)
    error, variation, *mean_image = reconstruction_rows(summary)
    assert (round(error.value or 0, 6), error.limit, error.warns) == (0.5, "above 0.8", False)
    assert (round(variation.value or 0, 6), variation.limit, variation.warns) == (0.6, "below 0.5", False)
    assert [row.name.split(", ")[1] for row in mean_image] == ["slices", "volumes"]
    areas = [summary["metrics"][level]["auroc"]["value"] for level in ("slice", "volume")]
    assert [row.value for row in mean_image] == areas
    assert "mean_image" in summary["maps_rivals"]
    assert all(
        row.warns and f"the model has {area:.3f}" in row.meaning for row, area in zip(mean_image, areas, strict=True)
    )
    assert sum("does not beat the mean training image" in sentence for sentence in summary["warnings"]) == 2
    with (tmp_path / "run" / "tables" / "reconstruction.csv").open(newline="") as stream:
        assert [float(row["value"]) for row in csv.DictReader(stream)] == [error.value, variation.value, *areas]


def test_a_score_of_neighbours_alone_says_so_and_rivals_nothing(tmp_path: Path) -> None:
    summary = of_run(tmp_path / "run", [2, 3], mean_image=True)
    assert sum(SAME_SCORE[4:] in sentence for sentence in summary["warnings"]) == 1
    assert not [sentence for sentence in summary["warnings"] if "does not beat" in sentence or "Hardly" in sentence]
    assert not [row for row in summary["shortcuts"] if row["feature"] == "rival_mean_image" and row["rivals"]]
    assert "mean_image" in summary["maps"]
    assert "mean_image" not in summary["maps_rivals"]
    error, variation, *mean_image = reconstruction_rows(summary)
    for row in (error, *mean_image):
        assert (row.limit, row.warns, SAME_SCORE in row.meaning) == ("never", False, True)
    assert variation.limit == "below 0.5"


def test_what_is_undefined_has_a_dash_and_warns_of_nothing(tmp_path: Path) -> None:
    rows = reconstruction_rows(of_run(tmp_path / "run", None))
    assert [(row.value, row.warns) for row in rows] == [(None, False)] * 4
    assert reconstruction_rows({"metrics": {}}) == []  # of an earlier version
    assert not (tmp_path / "run" / "tables" / "reconstruction.csv").exists()
