"""A way to score a test set, over one or several seeds: figures with intervals by patient, and leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation.intervals import Array, Difference, Interval, Statistic, bootstrap, paired_difference
from qfae_monai.evaluation.levels import Draws, Level, Pixels, levels_of
from qfae_monai.evaluation.run_folder import RunFolder

SPECIFICITY = 0.95
MEASURES = ("slice_auroc", "pixel_ap", "volume_auroc")
"""Figures of a candidate; of single images `slice_auroc` is theirs, and there is no `volume_auroc`."""


@dataclass(frozen=True)
class Figure:
    """One measure. patients: (N,), who each row belongs to; statistic: row weights (R, N) -> (R,)."""

    value: float
    patients: NDArray
    statistic: Statistic

    def interval(self, draws: Draws) -> Interval:
        """The value with its interval over patients."""
        return bootstrap(self.patients, self.statistic, value=self.value, **draws)

    def lead(self, other: Figure, draws: Draws) -> Difference:
        """`self - other` over the same resamples of patients.

        Raises:
            ValueError: if they are of other patients.
        """
        if not np.array_equal(self.patients, other.patients):
            raise ValueError(
                f"expected figures of the same slices or cases, got {len(self.patients)} and {len(other.patients)} rows"
            )
        return paired_difference(
            self.patients, other.statistic, self.statistic, value=self.value - other.value, **draws
        )


@dataclass(frozen=True)
class Candidate:
    """Figures by name, each of `MEASURES`; their values are NaN where undefined."""

    figures: Mapping[str, Figure]

    @classmethod
    def model(cls, runs: Sequence[RunFolder]) -> Candidate:
        """The model itself; of several runs (seeds) the mean of their figures."""
        return cls._mean(runs, lambda run: (levels_of(run, SPECIFICITY), Pixels.of(run)))

    @classmethod
    def neighbours(cls, runs: Sequence[RunFolder]) -> Candidate:
        """Nearest neighbours in the features of the model's encoder; a high distance is abnormal, nothing is turned."""
        return cls._mean(runs, lambda run: (_neighbour_levels(run), Pixels.of_neighbours(run)))

    @classmethod
    def _mean(cls, runs: Sequence[RunFolder], read: Callable[[RunFolder], tuple[list[Level], Pixels]]) -> Candidate:
        each = [_figures(*read(run)) for run in runs]
        return cls({name: _average([figures[name] for figures in each]) for name in MEASURES})


def _figures(levels: Sequence[Level], pixels: Pixels) -> dict[str, Figure]:
    undefined = Figure(float("nan"), np.empty(0, np.str_), lambda weights: np.full(len(weights), np.nan))
    found = dict.fromkeys(MEASURES, undefined)
    for level in levels:
        name = "volume_auroc" if level.name == "volume" else "slice_auroc"
        found[name] = Figure(level.measures["auroc"], level.patients, level.resampled["auroc"])
    name = "average_precision"
    found["pixel_ap"] = Figure(pixels.measures[name], np.array(pixels.patients, np.str_), pixels.resampled[name])
    return found


def _neighbour_levels(run: RunFolder) -> list[Level]:
    """The levels with nearest neighbours' score in the place of the model's."""
    swapped = [
        Level(
            level.name, type(level.rows)({**level.rows.columns, "score": level.rows["rival_neighbours"]}), SPECIFICITY
        )
        for level in levels_of(run, SPECIFICITY)
    ]
    return [level.where(~np.isnan(level.scores)) for level in swapped]


def _average(figures: Sequence[Figure]) -> Figure:
    """Mean over seeds of a measure on the same rows."""
    first = figures[0]
    if any(not np.array_equal(first.patients, figure.patients) for figure in figures):
        raise ValueError("expected the same slices or cases for every seed, got others")

    def statistic(weights: Array) -> Array:
        return np.mean([figure.statistic(weights) for figure in figures], axis=0)

    return Figure(float(np.mean([figure.value for figure in figures])), first.patients, statistic)
