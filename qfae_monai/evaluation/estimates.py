"""Figures with what their intervals need: patients, and the figure under other weights of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from qfae_monai.evaluation.intervals import (
    LEVEL,
    Interval,
    amount_limits,
    clustered_area_limits,
    newcombe_limits,
    resampled_limits,
    share_limits,
    wilson_limits,
)
from qfae_monai.evaluation.jackknife import Jackknife, Sample
from qfae_monai.evaluation.weighted import Array, Separation, Statistic, weighted_ratio


@dataclass(frozen=True)
class Estimate:
    """A figure in [0, 1], such as an average precision or a Dice.

    Attributes:
        value: of the whole test set; NaN where undefined.
        sample: its patients.
        statistic: row weights (R, N) -> (R,).
        shortage: why there can be no interval beside what the sample says; empty for nothing.
    """

    value: float
    sample: Sample
    statistic: Statistic
    shortage: str = ""

    @property
    def unpaired(self) -> str:
        """Why a difference of two such figures has neither interval nor p; empty where it may have."""
        return ""

    @cached_property
    def jackknife(self) -> Jackknife:
        """The figure without each patient."""
        return Jackknife.of(self.sample, self.statistic)

    def interval(self, level: float = LEVEL) -> Interval:
        """The value with its interval over patients, or with the reason why there is none."""
        reason = self.reason
        low, high = (math.nan, math.nan) if reason else self.limits(level)
        return Interval(self.value, low, high, self.sample.smaller, reason)

    @cached_property
    def reason(self) -> str:
        """Why there is no interval; empty where there is one."""
        if math.isnan(self.value):
            return "the figure is undefined"
        if self.sample.shortage or self.shortage:
            return self.sample.shortage or self.shortage
        return "" if np.isfinite(self.jackknife.values).all() else "undefined without one of the patients"

    def limits(self, level: float) -> tuple[float, float]:
        """Both ends of the interval."""
        return share_limits(self.value, self.jackknife, self.sample.smaller, level)


@dataclass(frozen=True)
class Amount(Estimate):
    """A figure above 0 without an upper limit, such as millimetres or false positives a volume."""

    @cached_property
    def reason(self) -> str:
        if super().reason or self.value <= 0:
            return super().reason or "an amount of 0 varies in nothing"
        return "every patient has the same amount: it varies in nothing" if self.jackknife.constant else ""

    def limits(self, level: float) -> tuple[float, float]:
        return amount_limits(self.value, self.jackknife, level)


@dataclass(frozen=True)
class Rate(Estimate):
    """A share of items, such as lesions found; where each patient has one item it is a binomial rate."""

    hits: int | None = None

    def limits(self, level: float) -> tuple[float, float]:
        if self.hits is None:
            return super().limits(level)
        return wilson_limits(self.hits, self.sample.smaller, level)


@dataclass(frozen=True)
class Sensitivity(Estimate):
    """A sensitivity at a wanted specificity; its threshold is the score of one normal item. abnormals: items."""

    abnormals: int = 0

    @property
    def unpaired(self) -> str:
        return "the threshold is the score of one item: no test holds" if self.sample.single else ""

    def limits(self, level: float) -> tuple[float, float]:
        if not self.sample.single:
            return super().limits(level)
        return resampled_limits(self.statistic, self.sample.kinds[self.sample.place], self.abnormals, level)


@dataclass(frozen=True)
class Area(Estimate):
    """An AUROC. sizes: patients with normal and with abnormal items; separation: of the same items."""

    separation: Separation | None = None
    sizes: tuple[int, int] = (0, 0)

    @cached_property
    def distance(self) -> Jackknife:
        """The distance of the classes without each patient."""
        assert self.separation is not None
        return Jackknife.of(self.sample, self.separation)

    def limits(self, level: float) -> tuple[float, float]:
        if self.sample.single or self.separation is None:
            return newcombe_limits(self.value, *self.sizes, level=level)
        return clustered_area_limits(
            self.value,
            self.jackknife,
            self.distance,
            variances=self.separation.variances,
            sizes=self.sizes,
            level=level,
        )


def area(value: float, patients: ArrayLike, classes: ArrayLike, statistic: Statistic, separation: Separation) -> Area:
    """An AUROC of rows that hold normal and abnormal items.

    Args:
        value: of the whole test set.
        patients: (N,), whose each row is.
        classes: (N, 2), normal and abnormal items in each row.
        statistic: the AUROC under row weights.
        separation: of the same items.
    """
    named = np.asarray(patients, dtype=np.str_)
    held = [len(np.unique(named[np.asarray(classes)[:, number] > 0])) for number in (0, 1)]
    return Area(value, Sample(patients, classes), statistic, separation=separation, sizes=(held[0], held[1]))


def rate(patients: ArrayLike, hits: ArrayLike, items: ArrayLike | None = None) -> Rate:
    """Share of items that are hits.

    Args:
        patients: (N,), whose each row is.
        hits: (N,), of its items.
        items: (N,), one each by default.
    """
    above = np.asarray(hits, dtype=np.float64)
    below = np.ones(len(above)) if items is None else np.asarray(items, dtype=np.float64)
    sample = Sample(patients, below[:, None])
    alone = sample.single and bool((below == 1).all() and np.isin(above, (0, 1)).all())
    value = float(above.sum() / below.sum()) if below.sum() > 0 else math.nan
    return Rate(value, sample, weighted_ratio(above, below), hits=int(above.sum()) if alone else None)


def mean(patients: ArrayLike, values: ArrayLike, *, amount: bool = False) -> Estimate:
    """Mean of one value a row: in [0, 1], or of an amount without an upper limit.

    Args:
        patients: (N,), whose each row is.
        values: (N,), none negative.
        amount: whether there is no upper limit.
    """
    found = np.asarray(values, dtype=np.float64)
    value = float(found.mean()) if len(found) else math.nan
    return (Amount if amount else Estimate)(value, Sample(patients), weighted_ratio(found, np.ones(len(found))))


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Mean over trainings with other seeds of a figure on the same rows.

    Raises:
        ValueError: if the rows are not those of the same patients.
    """
    first = estimates[0]
    if any(not np.array_equal(first.sample.patients, one.sample.patients) for one in estimates):
        raise ValueError("expected the same slices or cases for every seed, got others")

    def statistic(weights: Array) -> Array:
        return np.mean([one.statistic(weights) for one in estimates], axis=0)

    value = float(np.mean([one.value for one in estimates]))
    if not isinstance(first, Area) or first.separation is None:
        return Estimate(value, first.sample, statistic, first.shortage)
    found = [one.separation for one in estimates if isinstance(one, Area) and one.separation is not None]
    separation = Separation(
        first.separation.sizes,
        np.mean([one.sums for one in found], axis=0),
        np.mean([one.variances for one in found], axis=0),
    )
    return Area(value, first.sample, statistic, separation=separation, sizes=first.sizes)
