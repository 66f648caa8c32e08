"""Items that a score ranks (slices, volumes, images) with labels and patients, measures of a ranking, their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation import ranking
from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.histogram import MapHistogram, alike
from qfae_monai.evaluation.intervals import Array, Interval, ResampledMaps, ResampledRanking, Statistic, bootstrap
from qfae_monai.evaluation.run_folder import RunFolder

# Names of measures, features and maps for tables and pages.

FEATURES = {
    "trivial_mean": "mean intensity",
    "trivial_std": "standard deviation of intensity",
    "trivial_max": "largest intensity",
    "trivial_p99": "99th percentile of intensity",
    "trivial_foreground_area": "foreground area",
    "position": "position along the volume",
    "distance_to_middle": "distance to the volume's middle",
    "rival_neighbours": "nearest neighbours (no training)",
    "file_size": "file size",
    "channels": "channels",
    "matrix_size": "matrix size",
    "scored": "slices scored",
}
MAPS = {
    "anomaly_map": "the model",
    "image": "plain intensity",
    "mean_distance": "distance to the training mean",
    "neighbours": "nearest neighbours (no training)",
}
NAMES = {"auroc": "AUROC", "average_precision": "average precision", "aupro": "AUPRO, to a false-positive rate of 0.3"}


def measure_name(key: str) -> str:
    """Key in `evaluation.json` -> name.

    >>> measure_name("auroc"), measure_name("sensitivity_at_97.5_specificity")
    ('AUROC', 'sensitivity at 97.5 % specificity')
    """
    at = re.fullmatch(r"sensitivity_at_(.+)_specificity", key)
    return f"sensitivity at {at[1]} % specificity" if at else NAMES.get(key, key)


class Draws(TypedDict):
    """Of a bootstrap. samples: resamples of the patients. seed: of the draws."""

    samples: int
    seed: int


@dataclass(frozen=True)
class Level:
    """Labelled items that were scored.

    name: `slice`, `volume` or `image`. rows: their rows of the table. specificity: at which sensitivity is stated.
    """

    name: str
    rows: Table
    specificity: float

    @property
    def scores(self) -> NDArray[np.float64]:
        return self.rows["score"]  # (N,)

    @property
    def labels(self) -> NDArray[np.float64]:
        return self.rows["label"]  # (N,), 1 abnormal, 0 normal

    @property
    def patients(self) -> NDArray:
        return self.rows["patient"]  # (N,), texts

    @property
    def normals(self) -> int:
        return int((self.labels == 0).sum())

    @property
    def abnormals(self) -> int:
        return int((self.labels == 1).sum())

    @cached_property
    def resampled(self) -> dict[str, Statistic]:
        """Measure -> what it is in each resample of the rows."""
        ranked = ResampledRanking(self.scores, self.labels)  # sorted once for all resamples

        def sensitivity(weights: Array) -> Array:
            return ranked.sensitivity_at_specificity(weights, self.specificity)

        return dict(zip(self.measures, (ranked.auroc, ranked.average_precision, sensitivity), strict=True))

    @cached_property
    def measures(self) -> dict[str, float]:
        """Measure -> its value on the whole test set; NaN where one class is missing."""
        return {
            "auroc": ranking.auroc(self.scores, self.labels),
            "average_precision": ranking.average_precision(self.scores, self.labels),
            f"sensitivity_at_{100 * self.specificity:g}_specificity": ranking.sensitivity_at_specificity(
                self.scores, self.labels, self.specificity
            ),
        }

    def intervals(self, draws: Draws) -> dict[str, Interval]:
        """Measure -> its value with the interval over patients."""
        return {
            name: bootstrap(self.patients, self.resampled[name], value=value, **draws)
            for name, value in self.measures.items()
        }

    def where(self, kept: NDArray[np.bool_]) -> Level:
        """The same level with fewer rows."""
        return Level(self.name, self.rows.where(kept), self.specificity)


def levels_of(run: RunFolder, specificity: float) -> list[Level]:
    """Slices and volumes, or images alone; those without a label or a score are left out."""
    # an image is a slice: `slices.csv` has its row
    tables = {"image": run.slices} if run.kind == "image" else {"slice": run.slices, "volume": run.volumes}
    return [
        Level(name, table.where(~np.isnan(table["label"]) & ~np.isnan(table["score"])), specificity)
        for name, table in tables.items()
    ]


@dataclass(frozen=True)
class Pixels:
    """A map's pixels of all cases with a mask, a row per case."""

    patients: list[str]
    measures: dict[str, float]
    resampled: Mapping[str, Statistic]

    @classmethod
    def of(cls, run: RunFolder) -> Pixels:
        """Values from the fine histogram of all cases, resamples from the coarse ones of each case."""
        return cls._from(run, run.pixels.maps.get("anomaly_map"), run.pixels.cases)

    @classmethod
    def of_neighbours(cls, run: RunFolder) -> Pixels:
        """As `of`, of the map of nearest neighbours; undefined where it was off."""
        return cls._from(run, run.pixels.maps.get("neighbours"), run.pixels.neighbour_cases)

    @classmethod
    def _from(cls, run: RunFolder, whole: MapHistogram | None, cases: Mapping[str, MapHistogram]) -> Pixels:
        names = sorted(cases)  # equal order in two runs, so that draws pair
        maps = ResampledMaps(alike([cases[name] for name in names]))
        measures = dict.fromkeys(("auroc", "average_precision", "aupro"), float("nan"))  # undefined without a mask
        if whole is not None:
            measures = {"auroc": whole.auroc(), "average_precision": whole.average_precision(), "aupro": whole.aupro()}
        resampled = dict(zip(measures, (maps.auroc, maps.average_precision, maps.aupro), strict=True))
        return cls([run.patient_of[name] for name in names], measures, resampled)

    def intervals(self, draws: Draws) -> dict[str, Interval]:
        """Measure -> its value with the interval over patients."""
        return {
            name: bootstrap(self.patients, self.resampled[name], value=value, **draws)
            for name, value in self.measures.items()
        }
