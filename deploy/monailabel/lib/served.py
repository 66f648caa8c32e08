"""What is served: the newest complete training on these studies, else the checkpoint given at the start."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from qfae_monai.predict.model import Model
from qfae_monai.scoring import fingerprint

NUMBERED = re.compile(r"[0-9]{4,9}")
TRAININGS = "model"  # folder within the studies; a folder with model.pt and calibration.json for each training


class Served:
    """The checkpoint in use, loaded when it is first needed, and anew after a training.

    Args:
        studies: folder of the studies; trainings on them are kept in it.
        bundle: the bundle's folder.
        checkpoint: what is served until a training is complete.
        preset: the one that the checkpoint was trained with.
        overlays: further configurations that it was trained with.
    """

    def __init__(
        self, studies: Path, bundle: Path, checkpoint: Path, preset: str, overlays: Sequence[Path] = ()
    ) -> None:
        self.trainings = studies / TRAININGS
        self.bundle, self.given, self.preset, self.overlays = bundle, checkpoint, preset, tuple(overlays)
        self._model: Model | None = None

    @property
    def checkpoint(self) -> Path:
        """File of the checkpoint in use."""
        return self._complete()[-1] / "model.pt" if self._complete() else self.given

    @property
    def sha256(self) -> str:
        """Hash of the checkpoint in use, by which scores are kept apart."""
        return _fingerprint(self.checkpoint, self.checkpoint.stat().st_mtime_ns)

    def model(self) -> Model:
        """The model of the checkpoint in use.

        Raises:
            FileNotFoundError: if the checkpoint, a configuration or pretrained weights are missing.
            ValueError: if the checkpoint was made with another preset, or its calibration is of another checkpoint.
        """
        checkpoint = self.checkpoint
        if self._model is None or (self._model.checkpoint, self._model.checkpoint_sha256) != (checkpoint, self.sha256):
            self._model = Model(self.bundle, checkpoint=checkpoint, preset=self.preset, overlays=self.overlays)
        return self._model

    def next_training(self) -> Path:
        """Folder that the next training gets when it is complete: model/0001, model/0002, ..."""
        return self.trainings / f"{int(self._complete()[-1].name) + 1 if self._complete() else 1:04d}"

    def _complete(self) -> list[Path]:
        """Folders of trainings; what is called otherwise, or is a link out of them, is none of ours."""
        found = (path for path in self.trainings.glob("*/model.pt") if NUMBERED.fullmatch(path.parent.name))
        inside = self.trainings.resolve()
        return sorted(path.parent for path in found if path.resolve().is_relative_to(inside))


@lru_cache(maxsize=4)  # the time tells a changed file from the one before
def _fingerprint(checkpoint: Path, modified_ns: int) -> str:
    return fingerprint(checkpoint)
