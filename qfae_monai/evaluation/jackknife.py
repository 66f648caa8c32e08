"""Patients behind a figure, and its spread when each is left out: the delete-one jackknife (Efron and Stein 1981).

Slices of a patient are alike, so the patient is the unit: it is left out with all of its rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from qfae_monai.evaluation.weighted import CHUNK, Array, Statistic
from qfae_monai.reading.left_aside import counted

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
            return f"{counted(self.smaller, 'patient')} in the smaller class: no method holds below {FEWEST}"
        if self.even < FEWEST_EVEN:
            return (
                f"the {self.smaller} patients of the smaller class hold as much as {self.even:.1f} of equal size: no "
                f"method holds below {FEWEST_EVEN:g}"
            )
        return ""


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
