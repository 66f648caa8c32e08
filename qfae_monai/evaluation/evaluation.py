"""From the tables of a run to `evaluation.json`: figures with their intervals over patients, and what to beware of."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from qfae_monai.evaluation.at_threshold import size_bands, thresholds
from qfae_monai.evaluation.cautions import cautions, training_cautions
from qfae_monai.evaluation.intervals import Interval
from qfae_monai.evaluation.levels import Draws, Level, Pixels, levels_of
from qfae_monai.evaluation.matching import match_by_position
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.shortcuts import map_measures, shortcuts
from qfae_monai.files import write_whole

LEVEL = 0.95


def summarise(
    folder: str | os.PathLike,
    *,
    samples: int = 1000,
    seed: int = 0,
    specificity: float = 0.95,
    match_tolerance: float | None = None,
) -> dict[str, Any]:
    """Compute every figure of a run folder and write `evaluation.json` into it, whole or not at all.

    What is undefined (one class only, no masks, one patient) is null, and a sentence in `warnings` says why. Cases
    without a label are counted and left out. Intervals are percentile bootstrap intervals over patients.

    Args:
        folder: the evaluation's output folder.
        samples: resamples of the patients.
        seed: of the resamples.
        specificity: at which sensitivity is stated.
        match_tolerance: largest difference of slice positions in [0, 1]; also state the slice figures with each
            abnormal slice held against one normal slice from its position. None for not.

    Returns:
        What was written.

    Raises:
        ValueError, FileNotFoundError: if the folder is not what it should be, naming file and line.
    """
    run = RunFolder(folder)
    draws: Draws = {"samples": samples, "seed": seed}
    levels = levels_of(run, specificity)
    metrics = {level.name: _plain(level.intervals(draws)) for level in levels}
    metrics["pixel"] = _plain(Pixels.of(run).intervals(draws))
    maps, rivals = map_measures(run)
    summary: dict[str, Any] = {
        "kind": run.kind,
        "counts": _counts(run),
        "metrics": metrics,
        "matched": _matched(levels, match_tolerance, draws),
        "threshold": thresholds(run, levels, draws),
        "size_bands": size_bands(run, levels, draws),
        "shortcuts": shortcuts(run, levels, draws),
        "maps": maps,
        "maps_rivals": rivals,
        "bootstrap": {"samples": samples, "seed": seed, "level": LEVEL, "unit": "patient"},
    }
    summary["warnings"] = [*training_cautions(run.run.get("training")), *cautions(summary, levels)]
    summary = without_nan(summary)
    write_whole(run.path / "evaluation.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


def without_nan(value: Any) -> Any:
    """The same structure with null for NaN and plain numbers for numpy's: JSON knows neither."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if isinstance(value, np.generic):
        return without_nan(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: asdict(interval) for name, interval in intervals.items()}


def _counts(run: RunFolder) -> dict[str, int]:
    volumes, slices = run.volumes, run.slices
    return {
        "patients": len(set(volumes["patient"].tolist())),
        "cases": len(volumes),
        "normal_cases": int((volumes["label"] == 0).sum()),
        "abnormal_cases": int((volumes["label"] == 1).sum()),
        "unlabelled_cases": int(np.isnan(volumes["label"]).sum()),
        "cases_with_mask": int((volumes["mask"] == 1).sum()),
        "slices": len(slices),
        "normal_slices": int((slices["label"] == 0).sum()),
        "abnormal_slices": int((slices["label"] == 1).sum()),
        "empty": int(np.nansum(volumes["empty"])),
        "outside": int(np.nansum(volumes["outside"])),
        "lesions": len(run.lesions),
    }


def _matched(levels: Sequence[Level], tolerance: float | None, draws: Draws) -> dict[str, Any] | None:
    level = levels[0]
    if tolerance is None or level.name != "slice":
        return None
    found = match_by_position(level.rows["position"], level.labels, tolerance=tolerance)
    return {
        "tolerance": tolerance,
        "pairs": found.pairs,
        "unmatched": found.unmatched,
        "slice": _plain(level.where(found.rows).intervals(draws)),
    }
