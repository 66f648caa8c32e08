"""Scores of held-out normal scans, written as the calibration of a checkpoint when a run over them is complete."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from ignite.engine import Engine, Events

from qfae_monai.anomaly import Calibration
from qfae_monai.anomaly.calibration import SCORE_SETTINGS, as_in_a_file
from qfae_monai.evaluation.engine_output import plain, scored_slices
from qfae_monai.evaluation.histogram import COARSE_BITS, MapHistogram, upper_values
from qfae_monai.files import checked, sha256_of
from qfae_monai.training.processes import gather, is_writer

logger = logging.getLogger(__name__)


class Calibrator:
    """Collect normal scores and write `path`. Slices with a lesion, and volumes with any, are left out and counted.

    Args:
        path: calibration file to write.
        checkpoint: file of the network that scores.
        settings: what else the scores depend on; an evaluation with others refuses the file.
        axis: spatial axis along which volumes are sliced.

    Raises:
        ValueError: for a setting that the file could not be read again with.
    """

    def __init__(
        self, path: str | os.PathLike, *, checkpoint: str | os.PathLike, settings: Mapping[str, Any], axis: int = 2
    ) -> None:
        self.path = Path(path)
        self.checkpoint = checkpoint
        self.settings = checked(as_in_a_file(settings), SCORE_SETTINGS, "score_settings")
        self.axis = axis
        self._start()

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI evaluator whose batches and outputs are lists of dictionaries (decollated)."""
        engine.add_event_handler(Events.STARTED, lambda _: self._start())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, lambda _: self._write())

    def _start(self) -> None:
        self._slices: list[float] = []
        self._volumes: list[float] = []
        self._patients: set[str] = set()
        self._pixels = MapHistogram.merge([], COARSE_BITS)
        self._left_out = 0

    def _collect(self, engine: Engine) -> None:
        for batch, output in zip(cast(list, engine.state.batch), cast(list, engine.state.output), strict=True):
            self._add({**batch, **output})

    def _add(self, found: Mapping[str, Any]) -> None:
        scores = plain(found["slice_scores"]).reshape(-1).double().numpy()  # (slices,), NaN where skipped
        scored = ~np.isnan(scores)
        normal = plain(found["slice_labels"]).numpy()[scored] == 0  # NaN, unlabelled, is not normal
        self._left_out += int((~normal).sum())
        if not normal.any():
            return
        self._slices += scores[scored][normal].tolist()
        self._patients.add(str(found.get("patient", found["case"])))
        pixels = scored_slices(found, "anomaly_map", self.axis).numpy()[normal]  # (normal slices, H, W)
        counted = MapHistogram.of(pixels, np.zeros(pixels.shape, np.int32), COARSE_BITS)
        self._pixels = MapHistogram.merge([self._pixels, counted], COARSE_BITS)  # a few kB, however many scans
        if float(plain(found["volume_label"])) == 0:  # a volume counts when all of it is normal
            self._volumes.append(float(plain(found["score"])))

    def _write(self) -> None:
        parts = gather((self._slices, self._volumes, self._patients, self._pixels, self._left_out))
        if not is_writer():
            return
        slices, volumes = (np.sort([score for part in parts for score in part[place]]) for place in (0, 1))
        if not len(slices):
            raise ValueError(f"{self.path}: expected held-out scans labelled normal to calibrate with, got none")
        pixels = MapHistogram.merge([part[3] for part in parts], COARSE_BITS)
        patients = set().union(*(part[2] for part in parts))  # a patient's scans may be in several processes
        Calibration(
            slices,
            volumes,
            # the largest of a bin, so that a threshold keeps its rate
            upper_values(pixels.bins, COARSE_BITS).astype(np.float64),
            pixels.normal,
            len(patients),
            sha256_of(self.checkpoint),
            self.settings,
        ).save(self.path)
        left_out = sum(part[4] for part in parts)
        logger.info(
            "calibrated on %d normal slices, %d normal volumes, %d patients; %d slices not known to be normal left out",
            len(slices),
            len(volumes),
            len(patients),
            left_out,
        )
