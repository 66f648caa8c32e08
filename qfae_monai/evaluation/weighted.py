"""Figures as functions of row weights, for many weightings at once: what an interval over patients is computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import ndtri

from qfae_monai.evaluation import counts
from qfae_monai.evaluation.histogram import MapHistogram

# Each takes (R, N) and gives (R,). The one-sample measures are in `ranking.py` and `histogram.py`; the tests hold these
# to them.

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Row weights (R, N) -> the measure under each weighting, (R,); NaN where it is undefined."""

CHUNK = 500_000
"""Numbers in one array of counts, 4 MB: it stays in the cache, and a dozen of them are small beside a network."""


class WeightedRanking:
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
        self._starts = np.flatnonzero(np.concatenate([[True], ranked[1:] > ranked[:-1]])[: len(ranked)])
        self._abnormal = np.asarray(labels, dtype=np.float64)[self._order]

    def auroc(self, weights: Array) -> Array:
        return counts.auroc(*self._counts(weights))

    def average_precision(self, weights: Array) -> Array:
        return counts.average_precision(*self._counts(weights))

    def sensitivity_at_specificity(self, weights: Array, specificity: float) -> Array:
        return counts.sensitivity_at_specificity(*self._counts(weights), specificity)

    @cached_property
    def separation(self) -> Separation:
        """Distance of the two classes in normal scores of the ranks."""
        ranks = np.empty(len(self._order))
        ranks[self._order] = np.repeat(*_middle_ranks(np.diff(np.append(self._starts, len(self._order)))))
        labels = np.empty(len(self._order))
        labels[self._order] = self._abnormal
        kinds = np.stack([1 - labels, labels])  # (2, N)
        scores = ndtri(ranks / max(1, len(ranks)))
        return Separation.of(kinds, kinds * scores, kinds * scores**2)

    def _counts(self, weights: Array) -> tuple[Array, Array]:
        """Weight of normal and of abnormal rows at each distinct score, (R, K) each."""
        if not len(self._starts):
            return np.zeros((len(weights), 0)), np.zeros((len(weights), 0))
        ranked = weights[:, self._order]  # (R, N)
        kinds = (ranked * (1 - self._abnormal), ranked * self._abnormal)
        normal, abnormal = (np.add.reduceat(kind, self._starts, axis=1) for kind in kinds)
        return normal, abnormal


class WeightedMaps:
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
        self._rows = max(1, CHUNK // max(1, len(bins)))  # weightings at a time
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

    @cached_property
    def separation(self) -> Separation:
        """Distance of lesion pixels from others in normal scores of the ranks of all pixels."""
        kinds = [self._tables[name] for name in ("normal", "lesion")]
        pixels = np.asarray(sum(kind.sum(axis=0) for kind in kinds)).reshape(-1)  # (K,), of each bin
        scores = ndtri(_middle_ranks(pixels)[0] / max(1.0, pixels.sum()))
        powers = [np.stack([np.asarray(kind @ scores**power) for kind in kinds]) for power in (0, 1, 2)]
        return Separation.of(*powers)

    def _sum(self, name: str, weights: Array) -> Array:
        return np.asarray(weights @ self._tables[name])

    def _each(self, weights: Array, statistic: Statistic) -> Array:
        """A few weightings at a time: their counts are what fills the memory."""
        parts = np.array_split(weights, max(1, -(-len(weights) // self._rows)))
        return np.concatenate([statistic(part) for part in parts])


@dataclass(frozen=True)
class Separation:
    """How far the abnormal lie above the normal, as a difference of means: a figure that is smooth at an AUROC of 1.

    sizes, sums: (2, N), what each row holds of normal and of abnormal items, and the sum of their scores.
    variances: (2,), of the scores of all normal and of all abnormal items.
    """

    sizes: Array
    sums: Array
    variances: Array

    @classmethod
    def of(cls, sizes: Array, sums: Array, squares: Array) -> Separation:
        """From the sizes, sums and sums of squares of each row, (2, N) each."""
        total = sizes.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):  # a missing class has neither mean nor variance
            return cls(sizes, sums, squares.sum(axis=1) / total - (sums.sum(axis=1) / total) ** 2)

    def __call__(self, weights: Array) -> Array:
        """Row weights (R, N) -> (R,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (weights @ self.sums[kind] / (weights @ self.sizes[kind]) for kind in (0, 1))
            normal, abnormal = means
        return np.asarray(abnormal - normal)


def _middle_ranks(sizes: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    """Rank in the middle of each group of ties, counted from 0 in halves; and the sizes, (K,) each."""
    sizes = np.asarray(sizes)
    return np.cumsum(sizes) - sizes / 2, sizes


def weighted_ratio(part: ArrayLike, whole: ArrayLike) -> Statistic:
    """Sum of `part` over sum of `whole`, both (N,): a mean, found lesions of all, false positives a volume."""
    above, below = (np.asarray(values, dtype=np.float64) for values in (part, whole))

    def statistic(weights: Array) -> Array:
        total = weights @ below  # (R,)
        return np.divide(weights @ above, total, out=np.full(len(weights), np.nan), where=total > 0)

    return statistic
