"""Mean and standard deviation over trainings: numpy's on the values of each run's own file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.merging import across_seeds
from tests.evaluation.run_folder_factory import make_run_folder


def test_mean_and_standard_deviation(tmp_path: Path) -> None:
    folders = [make_run_folder(tmp_path / str(model), model=model) for model in range(3)]
    values = [summarise(folder)["metrics"]["slice"]["auroc"]["value"] for folder in folders]
    found = across_seeds(folders)["slice.auroc"]
    assert found["values"] == values
    assert found["mean"] == pytest.approx(sum(values) / 3)
    assert found["std"] == pytest.approx(np.sqrt(sum((value - sum(values) / 3) ** 2 for value in values) / 2))
    assert across_seeds(folders[:1])["slice.auroc"] == {"mean": values[0], "std": None, "values": values[:1]}


def test_an_undefined_figure_stays_undefined(tmp_path: Path) -> None:
    folders = [make_run_folder(tmp_path / str(model), model=model, masks=False) for model in range(2)]
    for folder in folders:
        summarise(folder)
    assert across_seeds(folders)["pixel.auroc"] == {"mean": None, "std": None, "values": [None, None]}


def test_refuses_none_another_test_set_and_one_checkpoint_twice(tmp_path: Path) -> None:
    run, other = (make_run_folder(tmp_path / str(seed), seed=seed) for seed in range(2))
    with pytest.raises(ValueError, match="got none"):
        across_seeds([])
    with pytest.raises(ValueError, match="expected runs on one test set, got 2"):
        across_seeds([run, other])
    with pytest.raises(ValueError, match="expected a checkpoint for each run"):
        across_seeds([run, run])
