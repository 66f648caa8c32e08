"""Test-set performance of a threshold that was fixed beforehand: the achieved rate, with its exact interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest


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
    called = np.asarray(scores, dtype=np.float32) > np.float32(threshold)
    truth = np.asarray(labels)
    normal, abnormal = called[truth == 0], called[truth == 1]
    sensitivity = float(abnormal.mean()) if len(abnormal) else float("nan")
    if not len(normal):
        return AtThreshold(float("nan"), float("nan"), float("nan"), 0, sensitivity)
    interval = binomtest(int(normal.sum()), len(normal)).proportion_ci(level, method="exact")
    return AtThreshold(float(normal.mean()), float(interval.low), float(interval.high), len(normal), sensitivity)
