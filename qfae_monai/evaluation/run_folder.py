"""A run folder: the tables that an evaluation leaves behind, read when asked for and checked on the way in."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.evaluation.case_columns import LESION_COLUMNS, SLICE_COLUMNS, VOLUME_COLUMNS, Table, read_table
from qfae_monai.evaluation.histogram_file import PixelHistograms
from qfae_monai.evaluation.truth_table import Truth, read_truth
from qfae_monai.files import read_object
from qfae_monai.files.schema import Check, anything, choice, entries, items, number, optional, record, text, whole
from qfae_monai.networks.precision import FORMATS
from qfae_monai.training.training_record import TRAINING

KINDS = ("volume", "image")
RUN = record(
    {
        "kind": choice(*KINDS),
        "name": text(),
        "configuration": entries(anything),
        "seed": optional(whole()),
        "checkpoint": record({"file": text(), "sha256": text()}),
        "data": record(
            {"datalist": text(longest=4000), "sha256": text(), "cases": whole(), "patients": whole()},
            {"left_aside": entries(whole())},  # by reason
        ),
        "versions": entries(text()),
        "device": text(),
        "processes": whole(1),
        "started": text(),
        "seconds": number(0),
        "slices": record({"scored": whole(), "empty": whole(), "outside": whole()}),
        "calibration": optional(
            record(
                {
                    "file": text(),
                    "patients": whole(),
                    "slices": whole(),
                    "volumes": whole(),
                    "wanted_fpr": number(0, 1),
                    "slice_threshold": optional(number()),
                    "volume_threshold": optional(number()),
                    "pixel_threshold": optional(number()),
                    "wanted_pixel_fpr": number(0, 1),
                    "notes": items(text()),
                }
            )
        ),
        "published": optional(entries(anything)),
    },
    {  # not in older runs
        "format": choice(*FORMATS),
        "threads": whole(1),
        "training": optional(TRAINING),
        "duplicates": optional(
            record(
                {
                    "warnings": items(text(longest=5000)),
                    "pairs": items(
                        record(
                            {
                                "cases": items(text(longest=5000)),
                                "sections": items(text()),
                                "correlation": number(-1, 1.01),
                            }
                        )
                    ),
                },
                {"sections": entries(whole()), "shared_patients": whole()},  # not in older runs
            )
        ),
        "folds": whole(1),  # of merged runs
    },
)
"""Schema of `run.json`."""


class RunFolder:
    """Files of one evaluation.

    Args:
        path: the evaluation's output folder.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: when a file is read that is not what it should be; the message names file and line.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"{self.path}: expected the output folder of an evaluation")

    @cached_property
    def run(self) -> dict[str, Any]:
        """`run.json`: what was run on what."""
        return self._json("run.json", RUN)

    @property
    def kind(self) -> str:
        """`volume`, or `image` where every case is a single image."""
        return self.run["kind"]

    @cached_property
    def volumes(self) -> Table:
        """`volumes.csv`, a row per case."""
        table = self._table("volumes.csv", VOLUME_COLUMNS, "case")
        _check_labels(self.path / "volumes.csv", table)
        return table

    @cached_property
    def slices(self) -> Table:
        """`slices.csv`, a row a scored slice."""
        file = self.path / "slices.csv"
        table = self._table("slices.csv", SLICE_COLUMNS, "case", "slice")
        _check_labels(file, table)
        unscored = np.flatnonzero(np.isnan(table["score"]))
        if len(unscored):
            # + 2: lines count from 1, and the header is one
            raise ValueError(f"{file}, line {unscored[0] + 2}: expected a score, got an empty cell")
        self._check_patients(file, table)
        return table

    @cached_property
    def lesions(self) -> Table:
        """`lesions.csv`, a row a lesion."""
        table = self._table("lesions.csv", LESION_COLUMNS, "case", "lesion")
        self._check_patients(self.path / "lesions.csv", table)
        return table

    @cached_property
    def truth(self) -> Truth:
        """`truth.csv`, what the data list says of each case; nothing in runs of earlier versions."""
        truth = read_truth(self.path / "truth.csv")
        unknown = sorted(set(truth.classes) - set(self.patient_of))
        if unknown:
            raise ValueError(
                f"{self.path / 'truth.csv'}: expected cases of volumes.csv, got also {', '.join(unknown[:5])}"
            )
        return truth

    @cached_property
    def pixels(self) -> PixelHistograms:
        """`pixels.npz`, histograms of the maps."""
        file = self.path / "pixels.npz"
        pixels = PixelHistograms.load(file)
        unknown = sorted(set(pixels.cases) - set(self.volumes["case"].tolist()))
        if unknown:
            raise ValueError(f"{file}: expected cases of volumes.csv, got also {', '.join(unknown[:5])}")
        merged = pixels.maps.get("anomaly_map")
        for name in ("normal", "lesion"):
            whole = 0 if merged is None else int(getattr(merged, name).sum())  # pixels
            # histograms of other bits, but of the same pixels
            parts = sum(int(getattr(case, name).sum()) for case in pixels.cases.values())
            if whole != parts:
                raise ValueError(
                    f"{file}: expected as many {name} pixels in all cases as in the whole, {parts} != {whole}"
                )
        return pixels

    @cached_property
    def patient_of(self) -> dict[str, str]:
        """Case -> patient."""
        return dict(zip(self.volumes["case"].tolist(), self.volumes["patient"].tolist(), strict=True))

    @property
    def evaluation(self) -> dict[str, Any]:
        """`evaluation.json`, what `summarise` made of the tables."""
        return self._json("evaluation.json")

    def _json(self, name: str, check: Check | None = None) -> dict[str, Any]:
        file = self.path / name
        if not file.is_file():
            raise FileNotFoundError(f"{file}: missing; expected in the output folder of an evaluation")
        return read_object(file, check)

    def _table(self, name: str, columns: tuple[str, ...], *key: str) -> Table:
        file = self.path / name
        if not file.is_file():
            raise FileNotFoundError(f"{file}: missing; expected in the output folder of an evaluation")
        table = read_table(file, columns)
        seen: set[tuple] = set()
        # from 2: lines of the file, below its header
        for place, row in enumerate(zip(*(table[part].tolist() for part in key), strict=True), start=2):
            if row in seen:
                raise ValueError(f"{file}, line {place}: expected each {' and '.join(key)} once, got {row} again")
            seen.add(row)
        return table

    def _check_patients(self, file: Path, table: Table) -> None:
        for place, (case, patient) in enumerate(zip(table["case"].tolist(), table["patient"].tolist(), strict=True), 2):
            if self.patient_of.get(case) != patient:
                # intervals draw patients: tables must agree on them
                expected = self.patient_of.get(case, "none, as volumes.csv lacks the case")
                raise ValueError(
                    f"{file}, line {place}: expected for case {case} the patient {expected}, got {patient}"
                )


def _check_labels(file: Path, table: Table) -> None:
    labels = table["label"]
    wrong = np.flatnonzero(~np.isnan(labels) & ~np.isin(labels, (0, 1)))
    if len(wrong):
        raise ValueError(f"{file}, line {wrong[0] + 2}: label must be 0, 1 or empty, got {labels[wrong[0]]:g}")
