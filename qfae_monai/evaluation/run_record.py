"""`run.json`: what was run on what, so that a figure can be traced to its data, checkpoint, settings and versions."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import torch
from ignite.engine import Engine, Events

from qfae_monai import __version__
from qfae_monai.anomaly import Calibration
from qfae_monai.evaluation.engine_output import plain
from qfae_monai.files import checked, read_object, sha256_of, write_json
from qfae_monai.files.schema import entries, whole
from qfae_monai.networks.precision import Precision, format_name
from qfae_monai.training.processes import gather, is_writer, world_size
from qfae_monai.training.section_check import SectionCheck
from qfae_monai.training.training_record import device_name, package_versions, read_training


class RunRecord:
    """Write `run.json` when a run is complete.

    Args:
        path: of the file.
        name: what the run is called in reports.
        settings: numbers that make the run what it is, by name.
        checkpoint: file of the network.
        datalist: file or folder that the cases come from.
        duplicates: check of its sections for near-duplicates, which begins with the run; None without.
        seed: of the run.
        precision: as configured, which matrix products were scored in.
        calibration: thresholds and p-values, None without.
        calibration_file: its path.
        false_positive_rate: wanted, of slices and of volumes.
        pixel_false_positive_rate: wanted, of pixels.
        published: figures to stand beside the run's, with their `source`.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        name: str,
        settings: Mapping[str, Any],
        checkpoint: str | os.PathLike,
        datalist: str | os.PathLike,
        duplicates: SectionCheck | None = None,
        seed: int | None = None,
        precision: Precision = "float32",
        calibration: Calibration | None = None,
        calibration_file: str | os.PathLike = "calibration.json",
        false_positive_rate: float = 0.05,
        pixel_false_positive_rate: float = 0.01,
        published: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.name = name
        self.settings = dict(settings)
        self.checkpoint = Path(checkpoint)
        self.datalist, self.duplicates = Path(datalist), duplicates
        self.seed = seed
        self.precision = precision
        self.calibration = calibration
        self.calibration_file = Path(calibration_file)
        self.rates = (false_positive_rate, pixel_false_positive_rate)
        self.published = None if published is None else dict(published)
        self._clear()

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI evaluator whose batches and outputs are lists of dictionaries (decollated)."""
        engine.add_event_handler(Events.STARTED, lambda _: self._clear())
        if self.duplicates is not None:
            self.duplicates.attach(engine)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _clear(self) -> None:
        self._started = (datetime.now(timezone.utc), time.monotonic())  # a clock to state, and one that never jumps
        self._patients: list[str] = []
        self._slices = {"scored": 0, "empty": 0, "outside": 0}
        self._kind = "image"

    def _count(self, engine: Engine) -> None:
        for batch, output in zip(cast(list, engine.state.batch), cast(list, engine.state.output), strict=True):
            found = {**batch, **output}
            self._patients.append(str(found.get("patient", found["case"])))  # one entry a case
            self._kind = "volume" if plain(found["image"]).dim() == 4 else "image"
            self._slices["scored"] += int((~plain(found["slice_scores"]).isnan()).sum())
            for reason in ("empty", "outside"):
                self._slices[reason] += int(plain(found[reason]))

    def _write(self, engine: Engine) -> None:
        parts = gather((self._patients, self._slices, self._kind))
        if not is_writer():
            return
        patients = [patient for part in parts for patient in part[0]]
        began, clock = self._started
        content = {
            # a process without cases knows no kind
            "kind": "volume" if any(part[0] and part[2] == "volume" for part in parts) else "image",
            "name": self.name,
            "configuration": self.settings,
            "seed": self.seed,
            "checkpoint": {"file": self.checkpoint.name, "sha256": sha256_of(self.checkpoint)},
            "data": {
                "datalist": self.datalist.name,
                "sha256": _hash(self.datalist),
                "cases": len(patients),
                "patients": len(set(patients)),
                **_left_aside(self.datalist),
            },
            "versions": {"qfae-monai": __version__, "python": platform.python_version(), **package_versions()},
            "device": device_name(self._device(engine)),
            "format": format_name(self._device(engine), self.precision),
            "threads": torch.get_num_threads(),
            "training": read_training(self.checkpoint),
            "processes": world_size(),
            "started": began.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 2),  # wall time, scoring and tables
            "duplicates": None if self.duplicates is None else self.duplicates.record(),
            "slices": {key: sum(part[1][key] for part in parts) for key in self._slices},
            "calibration": self._thresholds(),
            "published": self.published,
        }
        write_json(self.path, content, default=str)

    @staticmethod
    def _device(engine: Engine) -> torch.device:
        return torch.device(getattr(engine.state, "device", None) or "cpu")

    def _thresholds(self) -> dict[str, Any] | None:
        if self.calibration is None:
            return None
        rate, pixel_rate = self.rates
        # pixels are never short
        notes = [self.calibration.shortage("slice", rate), self.calibration.shortage("volume", rate)]
        return {
            "file": self.calibration_file.name,
            "patients": self.calibration.patients,
            "slices": len(self.calibration.slice_scores),
            "volumes": len(self.calibration.volume_scores),
            "wanted_fpr": rate,
            "slice_threshold": self.calibration.threshold("slice", rate),
            "volume_threshold": self.calibration.threshold("volume", rate),
            "pixel_threshold": self.calibration.pixel_threshold(pixel_rate),
            "wanted_pixel_fpr": pixel_rate,
            "notes": [note for note in notes if note is not None],
        }


def _left_aside(datalist: Path) -> dict[str, dict[str, int]]:
    """How many files were left aside before the list was written, by reason, where it says so."""
    content = read_object(datalist, what="a data list in JSON") if datalist.is_file() else {}
    reasons = content.get("left_aside")
    return {"left_aside": checked(reasons, entries(whole()), f"{datalist}: left_aside")} if reasons else {}


def _hash(path: Path) -> str:
    """SHA-256 of a file; of a folder, of the names and sizes of all files below it."""
    if path.is_file():
        return sha256_of(path)
    digest = sha256()
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        # names and sizes: the pixels of a cohort take minutes to read
        digest.update(f"{file.relative_to(path).as_posix()} {file.stat().st_size}\n".encode())
    return digest.hexdigest()
