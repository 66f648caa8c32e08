"""Test-set figures at the calibrated thresholds: rates, Dice, lesions found by size, false alarms per volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike

from qfae_monai.evaluation.estimates import mean, rate
from qfae_monai.evaluation.intervals import Interval
from qfae_monai.evaluation.lesion_figures import detections, surface_figures
from qfae_monai.evaluation.lesions import SIZE_BANDS, SIZE_UNITS, size_band
from qfae_monai.evaluation.levels import Level
from qfae_monai.evaluation.ranking import auroc
from qfae_monai.evaluation.run_folder import RunFolder

# Test-set performance of a threshold that was fixed beforehand.


class AtThreshold(NamedTuple):
    """Shares of items above a threshold, with their intervals; of normal items and of abnormal ones.

    normals: number of normal items. The values are NaN where there are no such items.
    """

    false_positive_rate: Interval
    sensitivity: Interval
    normals: int


def at_threshold(
    scores: ArrayLike, labels: ArrayLike, threshold: float, patients: ArrayLike | None = None
) -> AtThreshold:
    """Count what lies strictly above a threshold, both as float32: nine digits in a table give that back exactly.

    Args:
        scores: (N,), finite.
        labels: (N,), 1 is abnormal, 0 is normal.
        threshold: in units of the score.
        patients: (N,), whose each item is; by default each is of another.
    """
    called = np.asarray(scores, dtype=np.float32) > np.float32(threshold)  # (N,)
    truth = np.asarray(labels)
    owners = np.arange(len(truth)) if patients is None else np.asarray(patients)
    normal, abnormal = (rate(owners[truth == label], called[truth == label]).interval() for label in (0, 1))
    return AtThreshold(normal, abnormal, int((truth == 0).sum()))


THRESHOLD_OF = {"slice": "slice_threshold", "image": "slice_threshold", "volume": "volume_threshold"}


def thresholds(run: RunFolder, levels: Sequence[Level]) -> dict[str, Any] | None:
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
        rates = at_threshold(level.scores, level.labels, threshold, level.patients)
        found[level.name] = {
            "threshold": threshold,
            "achieved_fpr": rates.false_positive_rate.value,
            "low": rates.false_positive_rate.low,
            "high": rates.false_positive_rate.high,
            "n": rates.normals,
            "normal_patients": rates.false_positive_rate.smaller_class,
            "reason": rates.false_positive_rate.reason,
            "sensitivity": rates.sensitivity.value,
            "sensitivity_interval": asdict(rates.sensitivity),
        }
    found["pixel"] = _pixel(run, calibration)
    found["notes"] = list(calibration["notes"])
    return found


def _pixel(run: RunFolder, calibration: dict[str, Any]) -> dict[str, Any] | None:
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
        "dice": asdict(mean(overlaps["patient"], overlaps["dice"]).interval()),
        "lesion_sensitivity": asdict(rate(lesions["patient"], lesions["lesions_found"], lesions["lesions"]).interval()),
        "false_positives_per_volume": asdict(
            mean(masked["patient"], masked["false_positives"], amount=True).interval()
        ),
        "detection": detections(lesions),
        "surface": surface_figures(masked),
    }


def size_bands(run: RunFolder, levels: Sequence[Level]) -> list[dict[str, Any]]:
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
            "sensitivity": asdict(rate(judged["patient"], judged["found"]).interval()),
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
