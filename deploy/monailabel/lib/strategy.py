"""Active learning: the most abnormal study that no reader has labelled comes next."""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from lib.datastore import StudyDatastore
from lib.normals import is_marked
from lib.scoring import entry_of, score_in
from lib.served import Served


class MostAnomalous(Strategy):
    """`/activelearning/most_anomalous`: highest score first, of equal scores the first by name.

    Left out: studies with a final label, or marked normal, and those that could not be scored. Studies without a score
    (new, or not yet scored since a training) come last, by name.
    """

    def __init__(self, served: Served) -> None:
        super().__init__("Most anomalous first")
        self.served = served

    def __call__(self, request: dict[str, Any], datastore: StudyDatastore) -> dict[str, Any] | None:
        datastore.refresh()
        sha256 = self.served.sha256
        waiting: list[tuple[bool, float, str]] = []
        for image_id in datastore.get_unlabeled_images():
            info = datastore.get_image_info(image_id)
            entry = entry_of(info, sha256)
            if is_marked(info) or "error" in (entry or {}):
                continue
            score = score_in(entry)
            waiting.append((score is None, -(score or 0.0), image_id))
        if not waiting:
            return None
        unscored, negative, image_id = min(waiting)
        return {"id": image_id, "score": None if unscored else -negative, "waiting": len(waiting)}
