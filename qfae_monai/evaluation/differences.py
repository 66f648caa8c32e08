"""Differences of figures: of two runs on the same patients, and of two groups of patients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import permutation_test

from qfae_monai.evaluation.estimates import Amount, Estimate
from qfae_monai.evaluation.intervals import LEVEL, Interval
from qfae_monai.evaluation.jackknife import FEWEST_EVEN, ROUNDING, Jackknife
from qfae_monai.evaluation.weighted import Array

EXACT = 2**12
"""Patterns of signs: all of up to 12 patients, as many random ones of more."""


@dataclass(frozen=True)
class Difference(Interval):
    """A difference with its interval, and the two-sided p of "no difference"; p is NaN where no test holds."""

    p: float


def paired_difference(first: Estimate, second: Estimate, *, level: float = LEVEL, seed: int = 0) -> Difference:
    """`second - first` on the same rows: what both share cancels.

    The interval is Student's, of the differences without each patient. p is that of a permutation test over patients:
    under "no difference" the part of each patient in the difference could as well have the other sign (Fisher 1935).

    Args:
        first, second: of the same rows.
        level: of the interval.
        seed: of the patterns of signs, where there are too many to try all.

    Raises:
        ValueError: if they are of other rows.
    """
    sample = first.sample
    if not np.array_equal(sample.patients, second.sample.patients):
        raise ValueError(
            f"expected figures of the same slices or cases, got {len(sample.patients)} and "
            f"{len(second.sample.patients)} rows"
        )
    value = second.value - first.value
    # the second sample may have other units, as where fewer pixels were scored
    alike = np.array_equal(sample.place, second.sample.place)
    other = second.jackknife if alike else Jackknife.of(sample, second.statistic)
    left_out = Jackknife(other.values - first.jackknife.values, sample.kinds, sample.even)
    defined = bool(np.isfinite(left_out.values).all() and math.isfinite(value))
    reason = (
        first.reason or second.reason or first.unpaired or ("" if defined else "undefined without one of the patients")
    )
    low = high = math.nan
    if not reason:
        reach = left_out.quantile(level) * math.sqrt(left_out.variance)
        most = math.inf if isinstance(first, Amount) else 1.0  # shares differ by 1 at most
        low, high = max(value - reach, -most), min(value + reach, most)
    # patients of two kinds who are in fact few are too few for the test, too
    tested = defined and not first.unpaired and (len(np.unique(sample.kinds)) == 1 or sample.even >= FEWEST_EVEN)
    return Difference(
        value, low, high, sample.smaller, reason, _sign_flips(value, left_out, seed) if tested else math.nan
    )


def independent_difference(first: Estimate, second: Estimate, *, level: float = LEVEL) -> Difference:
    """`second - first` of two groups without a patient in common: squares of both reaches add (Newcombe 1998).

    Args:
        first, second: of different patients.
        level: of the interval; p is 1 minus the level of the interval that ends at 0.
    """
    value = second.value - first.value
    smaller = min(first.sample.smaller, second.sample.smaller)
    reason = first.reason or second.reason
    if reason:
        return Difference(value, math.nan, math.nan, smaller, reason, math.nan)

    def ends(at: float) -> tuple[float, float]:
        (low, high), (other_low, other_high) = first.limits(at), second.limits(at)
        return (
            value - math.hypot(second.value - other_low, high - first.value),
            value + math.hypot(other_high - second.value, first.value - low),
        )

    def near(at: float) -> float:
        """Distance of 0 from the end of the interval that lies on its side; negative inside."""
        low, high = ends(at)
        return low if value > 0 else -high

    least, most = 1e-9, 1 - 1e-9
    inside = value == 0 or near(least) <= 0
    at = least if inside else most if near(most) > 0 else float(brentq(near, least, most))
    return Difference(value, *ends(level), smaller, "", 1.0 if inside else 1 - at)


def _sign_flips(value: float, left_out: Jackknife, seed: int) -> float:
    """p of the sum of the patients' parts in a difference when their signs are turned at random."""
    parts = _parts(value, left_out)
    parts = parts[np.abs(parts) > ROUNDING]  # who adds nothing has no sign
    if not len(parts):
        return 1.0

    def size(signed: Array, axis: int = -1) -> Array:
        return np.abs(signed.sum(axis=axis)).round(12)  # sums that are equal but for rounding are as far from 0

    found = permutation_test(
        (parts,),
        size,
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXACT,
        batch=max(1, 1_000_000 // len(parts)),
        alternative="greater",
        random_state=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _parts(value: float, left_out: Jackknife) -> Array:
    """Part of each patient in a difference, (units,); they sum to it.

    Each has an equal share of its kind's, and what it deviates by; a kind's share is that of the variance it brings.
    """
    parts, variance = left_out.influence.copy(), left_out.variance
    for kind in np.unique(left_out.kinds):
        own = left_out.kinds == kind
        count = int(own.sum())
        share = (left_out.influence[own] ** 2).sum() / variance if variance > 0 else count / len(parts)
        parts[own] += value * share / count
    return parts
