"""Mean and standard deviation over trainings with different seeds, as tables of papers state them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from qfae_monai.evaluation.evaluation_report import without_nan
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.files import reading_as


def across_seeds(folders: Sequence[str | os.PathLike]) -> dict[str, dict[str, Any]]:
    """Every measure over several runs: one test set, one training each.

    The spread says how much the training's chance matters; an interval of one run says how much the choice of patients
    does. Neither contains the other.

    Args:
        folders: output folders of evaluations, with their `evaluation.json`.

    Returns:
        `{"slice.auroc": {"mean", "std", "values"}, ...}`; std is the sample's (n - 1), None for a single run; mean and
        std are None where a run's value is.

    Raises:
        ValueError: without folders, for different test sets, or the same checkpoint twice.
    """
    runs = [RunFolder(folder) for folder in folders]
    if not runs:
        raise ValueError("expected at least one run, got none")
    data = {run.run["data"]["sha256"] for run in runs}
    if len(data) > 1:
        raise ValueError(f"expected runs on one test set, got {len(data)}: {', '.join(str(run.path) for run in runs)}")
    checkpoints = [run.run["checkpoint"]["sha256"] for run in runs]
    for number, checkpoint in enumerate(checkpoints):
        first = checkpoints.index(checkpoint)
        if first < number:
            raise ValueError(
                f"expected a checkpoint for each run, got one in {runs[first].path} and {runs[number].path}"
            )
    found: dict[str, list[float]] = {}
    for run in runs:
        with reading_as("the figures of an evaluation", run.path / "evaluation.json"):
            for level, measures in run.evaluation["metrics"].items():
                for name, interval in measures.items():
                    value = interval["value"]
                    found.setdefault(f"{level}.{name}", []).append(np.nan if value is None else float(value))
    return {
        name: without_nan(
            {
                "mean": np.mean(values),
                "std": np.std(values, ddof=1) if len(values) > 1 else None,
                "values": values,
            }
        )
        for name, values in found.items()
    }
