"""Test-set figures at the calibrated thresholds: rates, Dice, lesions found by size, false alarms per volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from qfae_monai.evaluation.intervals import bootstrap, weighted_ratio
from qfae_monai.evaluation.lesion_figures import detections, mean_over_cases, surface_figures
from qfae_monai.evaluation.lesions import SIZE_BANDS, SIZE_UNITS, size_band
from qfae_monai.evaluation.levels import Draws, Level
from qfae_monai.evaluation.ranking import auroc
from qfae_monai.evaluation.run_folder import RunFolder

# Test-set performance of a threshold that was fixed beforehand: the achieved rate, with its exact interval.


class AtThreshold(NamedTuple):
    """Rates above a threshold.

    false_positive_rate: share of normal items above it; low, high: its Clopper-Pearson interval; normals: how many.
    sensitivity: share of abnormal items above it. NaN where there are none.
    """

    false_positive_rate: float
    low: float
    high: float
    normals: int
    sensitivity: float


def at_threshold(scores: ArrayLike, labels: ArrayLike, threshold: float, level: float = 0.95) -> AtThreshold:
    """Count what lies strictly above a threshold, both as float32: nine digits in a table give that back exactly.

    The interval (Clopper and Pearson 1934) takes items as independent: right for volumes of different patients, too
    narrow for slices, of which a patient has many.

    Args:
        scores: (N,), finite.
        labels: (N,), 1 is abnormal, 0 is normal.
        threshold: in units of the score.
        level: of the interval.
    """
    called = np.asarray(scores, dtype=np.float32) > np.float32(threshold)  # (N,)
    truth = np.asarray(labels)
    normal, abnormal = called[truth == 0], called[truth == 1]
    sensitivity = float(abnormal.mean()) if len(abnormal) else float("nan")
    if not len(normal):  # 0 of 0 is no rate
        return AtThreshold(float("nan"), float("nan"), float("nan"), 0, sensitivity)
    interval = binomtest(int(normal.sum()), len(normal)).proportion_ci(level, method="exact")
    return AtThreshold(float(normal.mean()), float(interval.low), float(interval.high), len(normal), sensitivity)


THRESHOLD_OF = {"slice": "slice_threshold", "image": "slice_threshold", "volume": "volume_threshold"}


def thresholds(run: RunFolder, levels: Sequence[Level], draws: Draws) -> dict[str, Any] | None:
    """Wanted and achieved rates of every level, and lesion-wise figures; None without a calibration."""
    calibration = run.run["calibration"]
    if calibration is None:
        return None
    found: dict[str, Any] = {"wanted_fpr": calibration["wanted_fpr"]}
    for level in levels:
        threshold = calibration[THRESHOLD_OF[level.name]]
        if threshold is None:
            found[level.name] = None
            continue
        rates = at_threshold(level.scores, level.labels, threshold)
        found[level.name] = {
            "threshold": threshold,
            "achieved_fpr": rates.false_positive_rate,
            "low": rates.low,
            "high": rates.high,
            "n": rates.normals,
            "sensitivity": rates.sensitivity,
        }
    found["pixel"] = _pixel(run, calibration, draws)
    found["notes"] = list(calibration["notes"])
    return found


def _pixel(run: RunFolder, calibration: dict[str, Any], draws: Draws) -> dict[str, Any] | None:
    threshold = calibration["pixel_threshold"]
    if threshold is None:
        return None
    whole = run.pixels.maps.get("anomaly_map")
    masked = run.volumes.where(~np.isnan(run.volumes["false_positives"]))  # cases with a mask
    lesions = masked.where(~np.isnan(masked["lesions_found"]))  # rows a case
    overlaps = masked.where(~np.isnan(masked["dice"]))  # NaN: an empty mask has no Dice
    return {
        "threshold": threshold,
        "wanted_fpr": calibration["wanted_pixel_fpr"],
        "achieved_fpr": float("nan") if whole is None else whole.false_positive_rate(threshold),
        "dice": asdict(mean_over_cases(overlaps, "dice", draws)),
        "lesion_sensitivity": asdict(
            bootstrap(lesions["patient"], weighted_ratio(lesions["lesions_found"], lesions["lesions"]), **draws)
        ),
        "false_positives_per_volume": asdict(mean_over_cases(masked, "false_positives", draws)),
        "detection": detections(lesions, draws),
        "surface": surface_figures(masked, draws),
    }


def size_bands(run: RunFolder, levels: Sequence[Level], draws: Draws) -> list[dict[str, Any]]:
    """Lesions of each size band and the share found at the pixel threshold; of images also the AUROC.

    An image belongs to the band of its lesion pixels together, and is held against all normal images.
    """
    kind = cast(Literal["volume", "image"], run.kind)
    lesions = run.lesions
    bands = size_band(lesions["mm3"] if kind == "volume" else lesions["voxels"], kind)
    edges = SIZE_BANDS[kind]
    rows = []
    for number, (low, high) in enumerate(pairwise(edges)):
        inside = lesions.where(bands == number)
        judged = inside.where(~np.isnan(inside["found"]))  # without a pixel threshold none is judged
        row: dict[str, Any] = {
            "from": low,
            "to": high if np.isfinite(high) else None,  # JSON has no infinity
            "unit": SIZE_UNITS[kind],
            "lesions": len(inside),
            "found": int(judged["found"].sum()) if len(judged) else None,
            "sensitivity": asdict(mean_over_cases(judged, "found", draws)),
        }
        if kind == "image":
            row["slice_auroc"] = _auroc_of_band(levels[0], number)
        rows.append(row)
    return rows


def _auroc_of_band(level: Level, number: int) -> float:
    sizes = level.rows["lesion_pixels"]
    # abnormal images of the band, all normal ones
    kept = (level.labels == 0) | (~np.isnan(sizes) & (size_band(np.nan_to_num(sizes), "image") == number))
    return auroc(level.scores[kept], level.labels[kept])
