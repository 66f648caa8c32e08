"""Ranking measures from counts per score, for many resamples at once: what scikit-learn computes, without its loop.

Everywhere the last axis holds the K distinct scores in ascending order and the leading axes hold resamples. Scores that
are equal share one place and are therefore ties, as in `sklearn.metrics` with sample weights. A measure that is
undefined (no normal or no abnormal item) is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def auroc(normal: ArrayLike, abnormal: ArrayLike) -> Array:
    """Probability that an abnormal item scores above a normal one, ties counting half (Mann and Whitney 1947).

    Args:
        normal: (..., K), weight of normal items at each score.
        abnormal: (..., K), weight of abnormal items.

    Returns:
        (...,) in [0, 1].
    """
    normal, abnormal = _floats(normal), _floats(abnormal)
    below = np.cumsum(normal, axis=-1) - normal / 2  # normals below each score, ties counting half
    return _ratio((abnormal * below).sum(-1), normal.sum(-1) * abnormal.sum(-1))


def average_precision(normal: ArrayLike, abnormal: ArrayLike) -> Array:
    """Precision averaged over the steps of recall, without interpolation: the definition of scikit-learn.

    Args and Returns: as `auroc`. With abnormal items alone it is 1 by definition, which says nothing: NaN instead.
    """
    normal, abnormal = _floats(normal), _floats(abnormal)
    found, alarms = from_above(abnormal), from_above(normal)
    called = found + alarms  # items at or above each score
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    total = abnormal.sum(-1)
    return _ratio((abnormal * precision).sum(-1), np.where(normal.sum(-1) > 0, total, 0))


def sensitivity_at_specificity(normal: ArrayLike, abnormal: ArrayLike, specificity: float) -> Array:
    """Largest sensitivity among the thresholds whose specificity is at least the wanted one.

    Args and Returns: as `auroc`; `specificity` in [0, 1]. No interpolation between thresholds.
    """
    normal, abnormal = _floats(normal), _floats(abnormal)
    alarms = from_above(normal)
    allowed = alarms <= (1 - specificity) * normal.sum(-1, keepdims=True) + 1e-9  # 1e-9: round-off of sums of weights
    found = np.where(allowed, from_above(abnormal), 0).max(-1, initial=0)
    return _ratio(found, np.where(normal.sum(-1) > 0, abnormal.sum(-1), 0))


def aupro(normal: ArrayLike, region: ArrayLike, regions: ArrayLike, max_fpr: float = 0.3) -> Array:
    """Area under the per-region overlap, over false-positive rates up to `max_fpr`, divided by `max_fpr`.

    Bergmann et al. 2021, The MVTec Anomaly Detection Dataset (IJCV), section 5.2: the overlap is the share of a
    region's pixels above the threshold, averaged over regions, so that a small region counts as much as a large one.
    The trapezoid that crosses the limit is cut there.

    Args:
        normal: (..., K), count of normal pixels at each value.
        region: (..., K), lesion pixels, each weighing 1 / size of its region.
        regions: (...,), number of regions.
        max_fpr: limit of the false-positive rate, in (0, 1].

    Returns:
        (...,) in [0, 1].
    """
    if not 0 < max_fpr <= 1:
        raise ValueError(f"max_fpr must be in (0, 1], got {max_fpr}")
    normal, region = _floats(normal), _floats(region)
    regions = _floats(regions)
    rate = _with_origin(_ratio(from_above(normal)[..., ::-1], normal.sum(-1, keepdims=True)))
    overlap = _with_origin(np.minimum(_ratio(from_above(region)[..., ::-1], regions[..., None]), 1))  # rounding
    width = np.diff(rate, axis=-1)  # (..., K), step in the false-positive rate
    kept = np.clip(max_fpr - rate[..., :-1], 0, width)  # part of each step below the limit
    share = np.divide(kept, width, out=np.zeros_like(kept), where=width > 0)  # [0, 1]; steps of no width add no area
    area = (kept * (overlap[..., :-1] + share * np.diff(overlap, axis=-1) / 2)).sum(-1) / max_fpr
    return np.where((normal.sum(-1) > 0) & (regions > 0), area, np.nan)


def froc(false: ArrayLike, found: ArrayLike, lesions: ArrayLike, volumes: ArrayLike, rates: Sequence[float]) -> Array:
    """Largest sensitivity among the thresholds with at most so many false positives per volume, without interpolation.

    Args:
        false: (..., K), false detections by rating.
        found: (..., K), lesions that are found, by rating.
        lesions, volumes: (...,), how many there are.
        rates: false positives per volume.

    Returns:
        (..., rates) in [0, 1]; NaN without lesions.
    """
    volumes, lesions = _floats(volumes), _floats(lesions)
    alarms, reached = from_above(_floats(false)), from_above(_floats(found))
    limits = [rate * volumes[..., None] + 1e-9 for rate in rates]  # 1e-9: round-off of sums of weights
    most = [np.where(alarms <= limit, reached, 0).max(-1, initial=0) for limit in limits]
    return _ratio(np.stack(most, axis=-1), lesions[..., None])


def _floats(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def from_above(weights: NDArray) -> NDArray:
    """Weight at or above each score."""
    return np.cumsum(weights[..., ::-1], axis=-1)[..., ::-1]


def _with_origin(curve: Array) -> Array:
    return np.concatenate([np.zeros((*curve.shape[:-1], 1)), curve], axis=-1)


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, NaN where whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
