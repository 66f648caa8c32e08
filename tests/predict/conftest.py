"""A model of the smallest preset with thresholds, and studies to score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from qfae_monai.cli import app
from qfae_monai.data.phantoms import write_phantom_cohort
from tests.bundles.conftest import BUNDLE, run_bundle

PHANTOMS = ("train", "presets/tiny", "datasets/phantoms")


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with dataset.json and a handful of phantoms in image/."""
    folder = tmp_path_factory.mktemp("scans")
    write_phantom_cohort(folder, train=3, validation=3, test_normal=1, test_abnormal=2, seed=5)
    return folder


@pytest.fixture(scope="session")
def checkpoint(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint after one epoch, with its calibration beside it."""
    folder = tmp_path_factory.mktemp("model")
    settings = {"dataset_dir": str(scans), "ckpt_dir": str(folder), "log_dir": str(folder / "logs")}
    run_bundle(*PHANTOMS, max_epochs=1, val_interval=1, **settings)
    run_bundle(*PHANTOMS, "evaluate", "calibrate", run_id="calibrating", **settings)
    return folder / "model.pt"


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The bundle's folder."""
    return BUNDLE


@pytest.fixture
def run(bundle: Path, checkpoint: Path) -> Any:
    """`qfae predict` in this process: run(source, output, *options)."""

    def predict(source: Path, output: Path, *options: str) -> Result:
        command = ["predict", "-i", str(source), "-o", str(output), "--checkpoint", str(checkpoint), "--preset", "tiny",
                   "--bundle", str(bundle), *options]  # fmt: skip
        return CliRunner().invoke(app, command)

    return predict
