"""Near-duplicates of training scans among the tested ones: said in the report, with the figures without them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from qfae_monai.evaluation.evaluation_report import summarise
from tests.evaluation.run_folder_factory import make_run_folder, training_record

SAID = "2 of 12 test scans are near-duplicates (correlation 0.97 to 1.00) of training scans of other patients"
NAMED = f"{SAID}: `run.json` names them."


def recorded(tmp_path: Path, *cases: str, **changed: Any) -> Path:
    """A run whose record has pairs of some cases with training scans."""
    folder = make_run_folder(tmp_path / "run")
    content = json.loads((folder / "run.json").read_text())
    pairs = [{"cases": [f"t{case}", case], "sections": ["training", "test"], "correlation": 0.99} for case in cases]
    content |= {"duplicates": {"warnings": [SAID], "pairs": pairs}, **changed}
    (folder / "run.json").write_text(json.dumps(content))
    return folder


def test_the_figures_without_them_stand_beside(tmp_path: Path) -> None:
    folder = recorded(tmp_path, "case000", "case003")
    found = summarise(folder)
    with (folder / "volumes.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["case"] not in ("case000", "case003")]
    area = roc_auc_score([float(row["label"]) for row in rows], [float(row["score"]) for row in rows])
    assert found["duplicates"]["cases"] == ["case000", "case003"]
    assert found["duplicates"]["auroc"]["volume"] == pytest.approx(area)
    assert found["warnings"][0] == NAMED
    assert found["warnings"][1].startswith("Without the 2 cases that are near-duplicates: slice AUROC ")
    assert f"volume AUROC {area:.3f}" in found["warnings"][1]


def test_what_the_training_said_is_not_said_twice(tmp_path: Path) -> None:
    found = summarise(recorded(tmp_path, "case000", training=training_record([SAID])))
    assert found["warnings"][0] == f"Training: {SAID}."
    assert found["warnings"][1].startswith("Without the 1 case that is a near-duplicate")


def test_a_figure_that_is_undefined_without_them_is_null(tmp_path: Path) -> None:
    found = summarise(recorded(tmp_path, *(f"case{number:03d}" for number in range(0, 12, 2))))
    assert found["duplicates"]["auroc"]["volume"] is None
    assert "volume AUROC undefined" in found["warnings"][1]


def test_other_runs_say_nothing(tmp_path: Path) -> None:
    found = summarise(make_run_folder(tmp_path / "run"))
    assert found["duplicates"] is None
    assert not [sentence for sentence in found["warnings"] if "duplicate" in sentence]
