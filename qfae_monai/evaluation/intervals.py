"""Confidence intervals over patients that hold for few of them, and none where no method does.

Slices of a patient are alike, so the patient is the unit: what is left out, one after the other, is a patient with all
of its rows (the delete-one jackknife; Efron and Stein 1981). `benchmarks/coverage.py` simulates how often each interval
holds the true figure. An interval says how the figure would vary with other patients of the same population and the
same trained model; it does not cover another training (see the spread over seeds).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import binomtest, norm, t

from qfae_monai.evaluation.weighted import CHUNK, Array, Statistic

LEVEL = 0.95
"""Of all intervals."""

FEWEST = 5
"""Patients in the smaller class below which no method was found to hold."""

FEWEST_EVEN = 4.0
"""As `FEWEST`, in patients of equal size: of six patients one of whom has most of the lesions are hardly two."""

ROUNDING = 1e-12
"""Of a figure: a smaller standard error is none."""

MOST_UNITS = 400
"""Patients that are left out one by one; of more, groups: the jackknife costs a figure for each."""


class Sample:
    """Patients behind a figure.

    Args:
        patients: (N,), whose each row is.
        classes: (N, C), how much of each class a row holds: 1 or 0 for a slice, pixels for a case; one class for means.

    Attributes:
        smaller: patients in the smaller class.
        even: patients of equal size that the smaller class is worth, (sum of sizes)^2 / sum of squares (Kish 1965).
        units: number of patients, or of groups of patients, that are left out one by one.
        place: (N,), the unit of each row.
        kinds: (units,), equal for units that hold the same classes.
        single: whether each patient is one item.
    """

    def __init__(self, patients: ArrayLike, classes: ArrayLike | None = None) -> None:
        self.patients = np.asarray(patients, dtype=np.str_)
        sizes = np.ones((len(self.patients), 1)) if classes is None else np.asarray(classes, dtype=np.float64)
        names, place = np.unique(self.patients, return_inverse=True)
        held = np.zeros((len(names), sizes.shape[1]))  # (patients, classes)
        np.add.at(held, place, sizes)
        kinds = (held > 0) @ (1 << np.arange(sizes.shape[1]))
        self.single = bool((held.sum(axis=1) == 1).all())
        self.smaller = int((held > 0).sum(axis=0).min())
        squares = (held**2).sum(axis=0)
        self.even = float(np.min(held.sum(axis=0) ** 2 / np.where(squares > 0, squares, 1)))
        group = _groups(kinds)
        self.units = int(group.max(initial=-1)) + 1
        self.place = group[place]
        self.kinds = np.zeros(self.units, dtype=np.int64)
        self.kinds[group] = kinds
        if np.unique(self.kinds, return_counts=True)[1].min(initial=2) < 2:  # one of a kind varies in nothing
            self.kinds = np.zeros_like(self.kinds)

    @property
    def shortage(self) -> str:
        """Why there is no interval; empty where there may be one."""
        if self.smaller < FEWEST:
            return f"{self.smaller} patients in the smaller class: no method holds below {FEWEST}"
        if self.even < FEWEST_EVEN:
            return (
                f"the {self.smaller} patients of the smaller class hold as much as {self.even:.1f} of equal size: no "
                f"method holds below {FEWEST_EVEN:g}"
            )
        return ""


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


@dataclass(frozen=True)
class Jackknife:
    """Spread of a figure when each unit of a sample is left out.

    values: (units,), the figure without each. kinds: (units,), which units are alike: those alone are compared.
    even: as that of the sample.
    """

    values: Array
    kinds: NDArray[np.int64]
    even: float

    @classmethod
    def of(cls, sample: Sample, statistic: Statistic) -> Jackknife:
        """Leave each unit out once."""
        rows = max(1, CHUNK // max(1, len(sample.place)))  # weightings at a time
        parts = [
            statistic((sample.place != np.arange(start, min(start + rows, sample.units))[:, None]).astype(np.float64))
            for start in range(0, sample.units, rows)
        ]
        return cls(np.concatenate([np.empty(0), *parts]), sample.kinds, sample.even)

    @cached_property
    def influence(self) -> Array:
        """Part of each unit in the figure, (units,); their squares sum to the variance."""
        found = np.empty(len(self.values))
        for kind in np.unique(self.kinds):
            own = self.kinds == kind
            count = own.sum()
            found[own] = math.sqrt((count - 1) / count) * (self.values[own].mean() - self.values[own])
        return found

    @property
    def variance(self) -> float:
        return float((self.influence**2).sum())

    @property
    def constant(self) -> bool:
        """Whether no unit differs from the others of its kind by more than rounding."""
        return self.variance <= (ROUNDING * max(1.0, float(np.abs(self.values).max(initial=0)))) ** 2

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance, from the kurtosis of the influences (Satterthwaite 1946)."""
        squares = self.influence**2
        if not squares.any():
            return max(1.0, self.even - 1)
        kurtosis = len(squares) * (squares**2).sum() / squares.sum() ** 2
        return float(max(1.0, min(self.even - 1, 2 * len(squares) / max(kurtosis - 1, 1e-9))))

    def quantile(self, level: float) -> float:
        """Student's quantile for an interval of this level."""
        return float(t.ppf((1 + level) / 2, self.freedom))


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


def _groups(kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the unit that each patient belongs to: its own, or of many patients a group of one kind."""
    if len(kinds) <= MOST_UNITS:
        return np.arange(len(kinds))
    group, first = np.empty(len(kinds), dtype=np.int64), 0
    names, counts = np.unique(kinds, return_counts=True)
    for left, kind in enumerate(names[np.argsort(counts, kind="stable")]):  # rare kinds first: what varies most
        own = np.flatnonzero(kinds == kind)
        count = min(len(own), max(2, (MOST_UNITS - first) // (len(names) - left)))
        group[np.random.default_rng(0).permutation(own)] = first + np.arange(len(own)) % count
        first += count
    return group
