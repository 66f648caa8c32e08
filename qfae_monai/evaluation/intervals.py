"""Certainty: percentile bootstrap intervals over patients, and paired differences (Efron and Tibshirani 1993).

Slices of a patient are alike, so patients are what is drawn, with replacement and with all of their rows; resampling
slices would give intervals that are far too narrow. An interval says how the figure would vary with other patients of
the same population and the same trained model; it does not cover another training (see the spread over seeds).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from qfae_monai.evaluation import counts
from qfae_monai.evaluation.histogram import MapHistogram

# Measures as functions of row weights, for thousands of resamples at once; each takes (R, N) and gives (R,).
# The one-sample measures are in `ranking.py` and `histogram.py`; the tests hold these to them.

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Row weights (R, N) -> the measure in each resample, (R,); NaN where it is undefined."""

CHUNK = 500_000
"""Numbers in one array of counts, 4 MB: it stays in the cache, and a dozen of them are small beside a network."""


class ResampledRanking:
    """Measures of scores and labels.

    Args:
        scores: (N,), finite, higher is more abnormal.
        labels: (N,), 1 is abnormal, 0 is normal.
    """

    def __init__(self, scores: ArrayLike, labels: ArrayLike) -> None:
        values = np.asarray(scores, dtype=np.float64)
        self._order = np.argsort(values, kind="stable")  # (N,), ascending
        ranked = values[self._order]
        # (K,), first row of each distinct score
        self._starts = np.flatnonzero(np.concatenate([[True], np.diff(ranked) > 0])[: len(ranked)])
        self._abnormal = np.asarray(labels, dtype=np.float64)[self._order]

    def auroc(self, weights: Array) -> Array:
        return counts.auroc(*self._counts(weights))

    def average_precision(self, weights: Array) -> Array:
        return counts.average_precision(*self._counts(weights))

    def sensitivity_at_specificity(self, weights: Array, specificity: float) -> Array:
        return counts.sensitivity_at_specificity(*self._counts(weights), specificity)

    def _counts(self, weights: Array) -> tuple[Array, Array]:
        """Weight of normal and of abnormal rows at each distinct score, (R, K) each."""
        if not len(self._starts):
            return np.zeros((len(weights), 0)), np.zeros((len(weights), 0))
        ranked = weights[:, self._order]  # (R, N)
        kinds = (ranked * (1 - self._abnormal), ranked * self._abnormal)
        normal, abnormal = (np.add.reduceat(kind, self._starts, axis=1) for kind in kinds)
        return normal, abnormal


class ResampledMaps:
    """Pixel measures of maps, a row per case.

    Args:
        histograms: one per case, of equal bits.
        max_fpr: limit of AUPRO.
    """

    def __init__(self, histograms: Sequence[MapHistogram], max_fpr: float = 0.3) -> None:
        joined = np.concatenate([np.empty(0, np.int32), *(part.bins for part in histograms)])
        bins, columns = np.unique(joined, return_inverse=True)  # bins of all cases, and each entry's column
        starts = np.cumsum([0, *(len(part.bins) for part in histograms)])  # row pointers of the sparse table
        self._tables = {
            name: csr_array(
                (
                    np.concatenate([np.empty(0), *(getattr(part, name) for part in histograms)]),
                    columns,
                    starts,
                ),
                shape=(len(histograms), len(bins)),
            )
            for name in ("normal", "lesion", "region")
        }
        self._regions = np.array([part.regions for part in histograms], dtype=np.float64)  # (N,), one a case
        self._rows = max(1, CHUNK // max(1, len(bins)))  # resamples at a time
        self._max_fpr = max_fpr

    def auroc(self, weights: Array) -> Array:
        return self._each(weights, lambda rows: counts.auroc(self._sum("normal", rows), self._sum("lesion", rows)))

    def average_precision(self, weights: Array) -> Array:
        return self._each(
            weights, lambda rows: counts.average_precision(self._sum("normal", rows), self._sum("lesion", rows))
        )

    def aupro(self, weights: Array) -> Array:
        return self._each(
            weights,
            lambda rows: counts.aupro(
                self._sum("normal", rows), self._sum("region", rows), rows @ self._regions, self._max_fpr
            ),
        )

    def _sum(self, name: str, weights: Array) -> Array:
        return np.asarray(weights @ self._tables[name])

    def _each(self, weights: Array, statistic: Statistic) -> Array:
        """Each draw once, for few cases make few draws; a few at a time: their counts are what fills the memory."""
        draws, place = np.unique(weights, axis=0, return_inverse=True)
        parts = np.array_split(draws, max(1, -(-len(draws) // self._rows)))
        return np.concatenate([statistic(part) for part in parts])[place.reshape(-1)]


def weighted_ratio(part: ArrayLike, whole: ArrayLike) -> Statistic:
    """Sum of `part` over sum of `whole`, both (N,): a mean, found lesions of all, false positives a volume."""
    above, below = (np.asarray(values, dtype=np.float64) for values in (part, whole))

    def statistic(weights: Array) -> Array:
        total = weights @ below  # (R,)
        return np.divide(weights @ above, total, out=np.full(len(weights), np.nan), where=total > 0)

    return statistic


@dataclass(frozen=True)
class Interval:
    """A figure with its percentile bootstrap interval.

    value: of the whole test set; NaN where undefined.
    low, high: between these lie the central `level` of the resamples; NaN if none is defined or there is one patient.
    undefined: share of resamples in which the figure is undefined (a class was not drawn); they are left out.
    """

    value: float
    low: float
    high: float
    undefined: float


@dataclass(frozen=True)
class Difference(Interval):
    """Interval of a paired difference, and the two-sided bootstrap p of "no difference".

    p: twice the smaller share of resamples on either side of 0, itself counted in (never 0); NaN as the interval.
    """

    p: float


def bootstrap(
    patients: ArrayLike,
    statistic: Statistic,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    value: float | None = None,
) -> Interval:
    """Percentile bootstrap interval of a figure, patients drawn with replacement.

    Args:
        patients: (N,), who each row belongs to.
        statistic: row weights (R, N) -> (R,).
        samples: resamples.
        seed: of the draws; equal seeds and patients give equal draws, which is what pairs two runs.
        level: share of resamples inside.
        value: the figure itself where it is known more exactly than `statistic` gives it.

    Raises:
        ValueError: for a level outside of (0, 1) or less than one sample.
    """
    drawn = _resampled(patients, [statistic], samples=samples, seed=seed, level=level)[0]
    rows = np.ones((1, np.size(patients)))
    return Interval(float(statistic(rows)[0]) if value is None else value, *_limits(drawn, level))


def paired_difference(
    patients: ArrayLike,
    first: Statistic,
    second: Statistic,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    value: float | None = None,
) -> Difference:
    """Interval of `second - first` over the same resamples of patients: what two runs share cancels.

    Args:
        patients: (N,), who each row belongs to; both statistics have the same rows.
        first, second: row weights (R, N) -> (R,).

    Other args and Raises: as `bootstrap`.
    """
    drawn = _resampled(patients, [first, second], samples=samples, seed=seed, level=level)
    rows = np.ones((1, np.size(patients)))
    known = float(second(rows)[0] - first(rows)[0]) if value is None else value
    differences = drawn[1] - drawn[0]  # (samples,), paired: both saw the same draws
    low, high, undefined = _limits(differences, level)
    return Difference(known, low, high, undefined, _two_sided(differences) if np.isfinite(low) else float("nan"))


def draw_patients(count: int, samples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Number of draws of each patient in each resample, (samples, count); every row sums to `count`."""
    drawn = rng.integers(count, size=(samples, count)) + count * np.arange(samples)[:, None]
    # one count for all: each resample has numbers of its own
    return np.bincount(drawn.ravel(), minlength=samples * count).reshape(samples, count)


def _resampled(patients: ArrayLike, statistics: Sequence[Statistic], *, samples: int, seed: int, level: float) -> Array:
    """Each statistic in each resample, (statistics, samples)."""
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"expected at least 1 sample and a level in (0, 1), got {samples} and {level}")
    names, place = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:  # one patient drawn again and again varies in nothing
        return np.full((len(statistics), samples), np.nan)
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // len(place))  # resamples at a time
    parts = []
    for start in range(0, samples, rows):
        # (rows, N): each row weighs as often as its patient came
        weights = draw_patients(len(names), min(rows, samples - start), rng)[:, place].astype(np.float64)
        parts.append(np.stack([statistic(weights) for statistic in statistics]))
    return np.concatenate(parts, axis=1)


def _limits(drawn: Array, level: float) -> tuple[float, float, float]:
    defined = drawn[np.isfinite(drawn)]
    undefined = 1 - len(defined) / len(drawn)
    if not len(defined):
        return float("nan"), float("nan"), undefined
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), undefined


def _two_sided(differences: Array) -> float:
    defined = differences[np.isfinite(differences)]
    side = min((defined <= 0).sum(), (defined >= 0).sum())  # 0 counts for both sides
    return float(min(1.0, 2 * (side + 1) / (len(defined) + 1)))
