"""A way to score a test set, over one or several seeds: figures with intervals by patient, and leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qfae_monai.evaluation.estimates import Estimate, average
from qfae_monai.evaluation.jackknife import Sample
from qfae_monai.evaluation.levels import Level, Pixels, levels_of
from qfae_monai.evaluation.run_folder import RunFolder

SPECIFICITY = 0.95
MEASURES = ("slice_auroc", "pixel_ap", "volume_auroc")
"""Figures of a candidate; of single images `slice_auroc` is theirs, and there is no `volume_auroc`."""


@dataclass(frozen=True)
class Candidate:
    """Figures by name, each of `MEASURES`; their values are NaN where undefined."""

    figures: Mapping[str, Estimate]

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
        return cls({name: average([figures[name] for figures in each]) for name in MEASURES})


def _figures(levels: Sequence[Level], pixels: Pixels) -> dict[str, Estimate]:
    undefined = Estimate(float("nan"), Sample([]), lambda weights: np.full(len(weights), np.nan))
    found = dict.fromkeys(MEASURES, undefined)
    for level in levels:
        found["volume_auroc" if level.name == "volume" else "slice_auroc"] = level.estimates["auroc"]
    found["pixel_ap"] = pixels.estimates["average_precision"]
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
