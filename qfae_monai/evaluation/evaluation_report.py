"""The end of an evaluation: intervals, alarms and the page, made from the run folder by the one process that writes."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from ignite.engine import Engine, Events
from monai.data import MetaTensor

from qfae_monai.evaluation.engine_output import plain
from qfae_monai.evaluation.evaluation import summarise
from qfae_monai.evaluation.page import write_report
from qfae_monai.evaluation.pictures import save_pictures
from qfae_monai.training.ranks import is_writer

logger = logging.getLogger(__name__)


class EvaluationReport:
    """Save pictures of each case as it comes, then `evaluation.json` and `report.html`.

    Attach it behind the handlers that write the tables.

    Args:
        output_dir: the run folder.
        axis: spatial axis along which volumes are sliced.
        save_pictures: whether the page shows slices.
        samples: bootstrap resamples of patients.
        specificity: at which sensitivity is stated.
        match_tolerance: relative position within which a normal slice may match an abnormal one; None: no matching.
        map_limit: map value shown brightest, one for all cases; None takes the largest of each.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        *,
        axis: int = 2,
        save_pictures: bool = True,
        samples: int = 1000,
        specificity: float = 0.95,
        match_tolerance: float | None = None,
        map_limit: float | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.axis = axis
        self.save_pictures = save_pictures
        self.samples = samples
        self.specificity = specificity
        self.match_tolerance = match_tolerance
        self.map_limit = map_limit

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI evaluator whose batches and outputs are lists of dictionaries (decollated)."""
        if self.save_pictures:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._pictures)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _pictures(self, engine: Engine) -> None:
        for batch, output in zip(cast(list, engine.state.batch), cast(list, engine.state.output), strict=True):
            found: Mapping[str, Any] = {**batch, **output}
            image, reconstruction, anomaly_map = (
                plain(found[key])[0].numpy() for key in ("image", "reconstruction", "anomaly_map")
            )
            save_pictures(
                self.output_dir / "pictures",
                str(found["case"]),
                image,
                reconstruction,
                anomaly_map,
                None if found.get("label") is None else plain(found["label"])[0].numpy(),
                plain(found["slice_scores"]).reshape(-1).numpy(),
                axis=self.axis,
                map_limit=self.map_limit,
                spacing=_spacing(found["image"]),
            )

    def _write(self, engine: Engine) -> None:
        if not is_writer():
            return
        summarise(self.output_dir, samples=self.samples, specificity=self.specificity,
                  match_tolerance=self.match_tolerance)  # fmt: skip
        logger.info("report: %s", write_report(self.output_dir))


def _spacing(image: Any) -> list[float] | None:
    """Of a volume's voxels, mm; None for images."""
    if not (isinstance(image, MetaTensor) and image.dim() == 4):
        return None
    return np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0).tolist()
