"""Confidence intervals over patients that hold for few of them.

`benchmarks/coverage.py` simulates how often each interval holds the true figure. An interval says how the figure would
vary with other patients of the same population and the same trained model; it does not cover another training (see the
spread over seeds).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import binomtest, norm, t

from qfae_monai.evaluation.jackknife import Jackknife
from qfae_monai.evaluation.weighted import CHUNK, Array, Statistic

LEVEL = 0.95
"""Of all intervals."""


@dataclass(frozen=True)
class Interval:
    """A figure with its interval.

    value: of the whole test set; NaN where undefined.
    low, high: NaN where no method holds.
    smaller_class: patients in the smaller class, or all of them where there are no classes.
    reason: why there is no interval; empty where there is one.
    """

    value: float
    low: float
    high: float
    smaller_class: int
    reason: str


def share_limits(value: float, jackknife: Jackknife, smaller: int, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a figure in [0, 1]: Student's, of the logit.

    Where no patient differs from the others, as at 0 and 1, Wilson's of as many patients as the smaller class has.
    """
    if not 0 < value < 1 or jackknife.constant:
        return wilson_limits(round(value * smaller), smaller, level)
    reach = jackknife.quantile(level) * math.sqrt(jackknife.variance) / (value * (1 - value))
    return float(expit(logit(value) - reach)), float(expit(logit(value) + reach))


def amount_limits(value: float, jackknife: Jackknife, level: float = LEVEL) -> tuple[float, float]:
    """Interval of an amount above 0, such as millimetres or false positives: Student's, of the logarithm."""
    reach = math.exp(jackknife.quantile(level) * math.sqrt(jackknife.variance) / value)
    return value / reach, value * reach


def resampled_limits(
    statistic: Statistic, kinds: NDArray[np.int64], items: int, level: float = LEVEL, *, samples: int = 1000
) -> tuple[float, float]:
    """Interval of a sensitivity at a wanted specificity, one item a patient (Zhou and Qin 2005, method BTII).

    Each class is drawn with replacement; half of z squared is added to hits and misses, as Agresti and Coull do.

    Args:
        statistic: the sensitivity under weights of the items.
        kinds: (N,), class of each item.
        items: how many of them are abnormal.
        level: of the interval.
        samples: resamples of the items.
    """
    rng, weights = np.random.default_rng(0), np.zeros((samples, len(kinds)))
    for kind in np.unique(kinds):
        count = int((kinds == kind).sum())
        weights[:, kinds == kind] = rng.multinomial(count, np.full(count, 1 / count), size=samples)
    square = float(norm.ppf((1 + level) / 2)) ** 2
    parts = np.array_split(weights, max(1, min(samples, weights.size // CHUNK)))  # a few resamples at a time
    drawn = (np.concatenate([statistic(part) for part in parts]) * items + square / 2) / (items + square)
    reach = float(t.ppf((1 + level) / 2, items - 1)) * drawn.std(ddof=1)
    low, high = (float(drawn.mean() + side * reach) for side in (-1, 1))
    value = float(statistic(np.ones((1, len(kinds))))[0])
    # where the drawn ones hardly vary, their mean is as far from the value as half of z squared moves it
    ends = wilson_limits(round(value * items), items, level) if value in (0, 1) else (value, value)
    return max(0.0, min(low, ends[0])), min(1.0, max(high, ends[1]))


def wilson_limits(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of a rate of independent items (Wilson 1927)."""
    found = binomtest(hits, count).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def newcombe_limits(
    value: float, normals: int, abnormals: int, *, reach: float | None = None, effect: float = 1.0, level: float = LEVEL
) -> tuple[float, float]:
    """Score interval of an AUROC (Newcombe 2006, Statistics in Medicine 25, method 5).

    Args:
        value: AUROC of the sample.
        normals, abnormals: independent items of each class.
        reach: standard errors to either side; the normal distribution's by default.
        effect: factor of the variance, where the items are not independent (the design effect; Kish 1965).
        level: of the interval.
    """
    errors = float(norm.ppf((1 + level) / 2)) if reach is None else reach

    def outside(area: float) -> float:
        return (value - area) ** 2 - errors**2 * effect * _area_variance(area, normals, abnormals)

    edge = 1e-9  # at 0 and 1 the variance is 0, and the value itself a root
    low = 0.0 if value <= edge else _root(outside, 0.0, min(value, 1 - edge))
    high = 1.0 if value >= 1 - edge else _root(outside, max(value, edge), 1.0)
    return low, high


def clustered_area_limits(
    value: float,
    area: Jackknife,
    distance: Jackknife,
    *,
    variances: Array,
    sizes: tuple[int, int],
    level: float,
) -> tuple[float, float]:
    """Newcombe's interval for patients with several scores each.

    The variance of independent patients is multiplied by a design effect, the mean of two: that of the AUROC itself,
    which is too small near 1, and that of the distance between the classes in normal scores of the ranks.

    Args:
        value: AUROC of all items.
        area, distance: the AUROC and the distance without each patient.
        variances: (2,), of the normal scores in each class.
        sizes: patients with normal and with abnormal items.
        level: of the interval.
    """
    # as variances of one score for each patient would be
    near = min(max(value, 1e-4), 1 - 1e-4)
    alone = float((variances / np.array(sizes)).sum())
    effects = (area.variance / _area_variance(near, *sizes), distance.variance / alone if alone > 0 else 0.0)
    effect = float(np.mean(effects))
    if effect < 1e-9:  # no patient differs from the others: as much as one score for each says
        return newcombe_limits(value, *sizes, level=level)
    return newcombe_limits(value, *sizes, reach=distance.quantile(level), effect=effect)


def _area_variance(area: float, normals: int, abnormals: int) -> float:
    """Variance of an AUROC under exponential scores (Hanley and McNeil 1982), both classes of the mean size."""
    mean = (normals + abnormals) / 2 - 1
    return area * (1 - area) * (1 + mean * ((1 - area) / (2 - area) + area / (1 + area))) / (normals * abnormals)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    ends = [function(low), function(high)]
    if ends[0] * ends[1] > 0:  # the limit lies at the range's end
        return low if abs(ends[0]) < abs(ends[1]) else high
    return float(brentq(function, low, high))
