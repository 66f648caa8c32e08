"""The model card says what is known, and that the rest is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qfae_monai.anomaly import Calibration
from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.files import sha256_of
from qfae_monai.model import update_model
from qfae_monai.model.card import model_card
from qfae_monai.model.folder import FIGURES, ModelFolder
from qfae_monai.model.writer import keep_figures
from tests.evaluation.run_folder_factory import make_run_folder

TRAINING = {
    "version": 1,
    "checkpoint": {"file": "model.pt", "sha256": "0" * 64},
    "precision": "auto",
    "format": "float32",
    "device": "CPU",
    "threads": 3,
    "processes": 1,
    "seed": 5,
    "epochs": 2,
    "iterations": 6,
    "training_images": 72,
    "seconds": 1.0,
    "warnings": ["The maps are constant"],
    "versions": {"torch": "2"},
    "held_out": {
        "images": 3,
        "distance": 0.1,
        "mean_image_distance": 0.2,
        "map_spread": 0.5,
        "map_spread_over_images": 0.4,
    },
}


def test_what_is_not_known_is_said_so(phantom_model: Path) -> None:
    card = model_card(phantom_model)
    for sentence in ("Not recorded: an imported checkpoint", "None yet: `qfae calibrate`", "no labelled test set"):
        assert sentence in card


def test_training_and_its_faults_are_said(copied: Path) -> None:
    (copied / "models" / "training.json").write_text(json.dumps(TRAINING))
    card = model_card(copied)
    for sentence in (
        "72 normal training images",
        "2 epochs, 6 iterations",
        "3 thread(s)",
        "mean distance 0.1",
        "- **Warning**: The maps are constant.",
    ):
        assert sentence in card


def test_thresholds_and_figures_become_part_of_the_card_and_of_the_model(copied: Path) -> None:
    scores = np.arange(1.0, 21.0)
    Calibration(
        scores,
        scores,
        scores,
        np.ones(20, int),
        20,
        sha256_of(copied / "models" / "model.pt"),
        ModelFolder.open(copied).content["signature"],
    ).save(copied / "calibration.json")
    (copied / "evaluation").mkdir()
    figures = {
        "metrics": {"volume": {"auroc": {"value": 0.9, "low": 0.8, "high": 0.95}}, "slice": {"auroc": {"value": None}}}
    }
    (copied / "evaluation" / "evaluation.json").write_text(json.dumps(figures))
    update_model(copied)
    card = (copied / "docs" / "README.md").read_text()
    assert "From 20 patients, 20 volumes" in card
    assert "Volume score above 20: at most 5% of normal volumes" in card
    assert "volume auroc: 0.900 (95 % interval by patient 0.800 to 0.950)" in card
    assert {"calibration.json", "evaluation/evaluation.json"} <= ModelFolder.open(copied).files.keys()


def test_a_model_carries_no_name_of_a_group(tmp_path: Path) -> None:
    run = make_run_folder(tmp_path / "run", cases=16, classes=["Miller", "Smith"], strata={"ward": ["Jones", "jones"]})
    summarise(run)
    assert "Miller" in (run / "evaluation.json").read_text()
    keep_figures(tmp_path / "model", run)
    kept = (tmp_path / "model" / FIGURES).read_text()
    assert not any(name in kept for name in ("Miller", "Smith", "Jones", "jones"))
    assert "No interval for" in kept


def test_a_folder_that_is_no_model_is_left_alone(tmp_path: Path) -> None:
    update_model(tmp_path)
    assert not list(tmp_path.iterdir())
