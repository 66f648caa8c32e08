"""Items that a score ranks (slices, volumes, images) with labels and patients, measures of a ranking, their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation import ranking
from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.estimates import Estimate, Sensitivity, area
from qfae_monai.evaluation.histogram import MapHistogram, alike
from qfae_monai.evaluation.intervals import Interval
from qfae_monai.evaluation.jackknife import Sample
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.weighted import Array, WeightedMaps, WeightedRanking

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
    "rival_mean_image": "mean training image as reconstruction",
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
    "mean_image": "mean training image as reconstruction",
}
RIVALS = ("rival_neighbours", "rival_mean_image")
"""Features that are detectors of their own, and say nothing against the data."""
NAMES = {"auroc": "AUROC", "average_precision": "average precision", "aupro": "AUPRO, to a false-positive rate of 0.3"}


FEWEST_NORMALS = 30
"""Normal items, one a patient, below which a sensitivity at a specificity has no interval."""


def measure_name(key: str) -> str:
    """Key in `evaluation.json` -> name.

    >>> measure_name("auroc"), measure_name("sensitivity_at_97.5_specificity")
    ('AUROC', 'sensitivity at 97.5 % specificity')
    """
    at = re.fullmatch(r"sensitivity_at_(.+)_specificity", key)
    return f"sensitivity at {at[1]} % specificity" if at else NAMES.get(key, key)


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
    def estimates(self) -> dict[str, Estimate]:
        """Measure -> its value with what its interval needs."""
        ranked = WeightedRanking(self.scores, self.labels)  # sorted once for all weightings
        classes = np.stack([1 - self.labels, self.labels], axis=1)  # (N, 2)
        sample = Sample(self.patients, classes)
        (auroc, precision, sensitivity), name = self.measures.values(), list(self.measures)

        def at_specificity(weights: Array) -> Array:
            return ranked.sensitivity_at_specificity(weights, self.specificity)

        return {
            name[0]: area(auroc, self.patients, classes, ranked.auroc, ranked.separation),
            name[1]: Estimate(precision, sample, ranked.average_precision),
            name[2]: Sensitivity(sensitivity, sample, at_specificity, self._too_few_normals(), self.abnormals),
        }

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

    def intervals(self) -> dict[str, Interval]:
        """Measure -> its value with the interval over patients."""
        return {name: estimate.interval() for name, estimate in self.estimates.items()}

    def _too_few_normals(self) -> str:
        """Why a sensitivity at a specificity has no interval: its threshold is one normal item's score."""
        alone = len(set(self.patients.tolist())) == len(self.rows)
        if self.normals >= (FEWEST_NORMALS if alone else 1 / max(1 - self.specificity, 1e-9) - 1e-6):
            return ""
        return f"{self.normals} normal {self.name}s: no method holds for a threshold so high among so few"

    def scored_by(self, values: NDArray[np.float64]) -> Level:
        """The same items with other scores, (N,)."""
        return Level(self.name, type(self.rows)({**self.rows.columns, "score": values}), self.specificity)

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
    """A map's pixels of all cases with a mask. estimates: measure -> its value with what its interval needs."""

    estimates: dict[str, Estimate]

    @classmethod
    def of(cls, run: RunFolder) -> Pixels:
        """Values from the fine histogram of all cases, intervals from the coarse ones of each case."""
        return cls._from(run, run.pixels.maps.get("anomaly_map"), run.pixels.cases)

    @classmethod
    def of_neighbours(cls, run: RunFolder) -> Pixels:
        """As `of`, of the map of nearest neighbours; undefined where it was off."""
        return cls._from(run, run.pixels.maps.get("neighbours"), run.pixels.neighbour_cases)

    @classmethod
    def _from(cls, run: RunFolder, whole: MapHistogram | None, cases: Mapping[str, MapHistogram]) -> Pixels:
        names = sorted(cases)  # equal order in two runs, so that rows pair
        maps = WeightedMaps(alike([cases[name] for name in names]))
        patients = [run.patient_of[name] for name in names]
        pixels = [(int(cases[name].normal.sum()), int(cases[name].lesion.sum())) for name in names]
        classes = np.array(pixels, dtype=np.float64).reshape(-1, 2)
        regions = np.array([(normal, cases[name].regions) for name, (normal, _) in zip(names, pixels, strict=True)])
        undefined = dict.fromkeys(("auroc", "average_precision", "aupro"), float("nan"))  # without a mask
        values = undefined if whole is None else {name: getattr(whole, name)() for name in undefined}
        return cls(
            {
                "auroc": area(values["auroc"], patients, classes, maps.auroc, maps.separation),
                "average_precision": Estimate(
                    values["average_precision"], Sample(patients, classes), maps.average_precision
                ),
                "aupro": Estimate(values["aupro"], Sample(patients, regions.reshape(-1, 2)), maps.aupro),
            }
        )

    @property
    def measures(self) -> dict[str, float]:
        """Measure -> its value."""
        return {name: estimate.value for name, estimate in self.estimates.items()}

    def intervals(self) -> dict[str, Interval]:
        """Measure -> its value with the interval over patients."""
        return {name: estimate.interval() for name, estimate in self.estimates.items()}
