"""Measures as functions of row weights, for thousands of resamples at once; each takes (R, N) and gives (R,).

The one-sample measures are in `ranking.py` and `histogram.py`; the tests hold these to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from qfae_monai.evaluation import counts
from qfae_monai.evaluation.histogram import MapHistogram

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
        self._order = np.argsort(values, kind="stable")
        ranked = values[self._order]
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
        ranked = weights[:, self._order]
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
        bins, columns = np.unique(joined, return_inverse=True)
        starts = np.cumsum([0, *(len(part.bins) for part in histograms)])
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
        self._regions = np.array([part.regions for part in histograms], dtype=np.float64)
        self._rows = max(1, CHUNK // max(1, len(bins)))
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
        """A few resamples at a time: their counts, not the weights, are what fills the memory."""
        parts = [statistic(weights[i : i + self._rows]) for i in range(0, len(weights), self._rows)]
        return np.concatenate([np.empty(0), *parts])


def weighted_ratio(part: ArrayLike, whole: ArrayLike) -> Statistic:
    """Sum of `part` over sum of `whole`, both (N,): a mean, found lesions of all, false positives a volume."""
    above, below = (np.asarray(values, dtype=np.float64) for values in (part, whole))

    def statistic(weights: Array) -> Array:
        total = weights @ below
        return np.divide(weights @ above, total, out=np.full(len(weights), np.nan), where=total > 0)

    return statistic
