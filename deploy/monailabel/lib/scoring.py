"""Scoring: the anomaly score of each study, kept in the datastore with the hash of the network that gave it."""

from __future__ import annotations

import logging
import math
from typing import Any

from monailabel.interfaces.tasks.scoring import ScoringMethod

from lib.datastore import StudyDatastore, modified, study_of
from lib.served import Served
from qfae_monai.predict.study_steps import message_of, score_study, written

ENTRY = "anomaly"  # of a study's info
KEPT = ("score", "p_value", "above_threshold", "warnings")

logger = logging.getLogger(__name__)


class AnomalyScoring(ScoringMethod):
    """`/scoring/anomaly`: scores what has no score of the model in use, or has changed since.

    A study that cannot be scored keeps the reason as `error`.
    """

    def __init__(self, served: Served) -> None:
        super().__init__("Anomaly score of each study; only of what is new, after a training of all")
        self.served = served

    def __call__(self, request: dict[str, Any], datastore: StudyDatastore) -> dict[str, Any]:
        done: dict[str, Any] = {}
        for image_id in without_score(datastore, self.served.sha256):
            done[image_id] = self._entry(image_id, datastore)
            datastore.update_image_info(image_id, {ENTRY: done[image_id]})
            logger.info("%s: %s", image_id, done[image_id].get("error") or f"score {done[image_id]['score']:.4g}")
        return done

    def _entry(self, image_id: str, datastore: StudyDatastore) -> dict[str, Any]:
        source = datastore.source(image_id)
        trace = {"checkpoint_sha256": self.served.sha256, "modified": modified(source)}
        study = None
        try:
            study = study_of(source)
            scores = score_study(study, self.served.model(), study.hash())[2]
        except (ValueError, OSError, RuntimeError) as error:
            message = message_of(error)
            return {"error": message if study is None else written(message, study), **trace}
        return {**{key: scores[key] for key in KEPT}, **trace}


def without_score(datastore: StudyDatastore, checkpoint_sha256: str) -> list[str]:
    """Ids of the studies that are new, have changed, or were scored by another model."""
    datastore.refresh()
    return [
        image_id
        for image_id in sorted(datastore.list_images())
        if (entry := entry_of(datastore.get_image_info(image_id), checkpoint_sha256)) is None
        or entry.get("modified") != modified(datastore.source(image_id))
    ]


def entry_of(info: dict[str, Any], checkpoint_sha256: str) -> dict[str, Any] | None:
    """What scoring left in a study's info, if it is of this model: scores of two do not compare."""
    entry = info.get(ENTRY)
    return entry if isinstance(entry, dict) and entry.get("checkpoint_sha256") == checkpoint_sha256 else None


def score_in(entry: dict[str, Any] | None) -> float | None:
    """The score, a finite number; None where there is none."""
    score = None if entry is None else entry.get("score")
    return float(score) if isinstance(score, float | int) and math.isfinite(score) else None
