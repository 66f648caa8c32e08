"""What is served: the newest training on these studies, else the model given at the start."""

from __future__ import annotations

import re
from pathlib import Path

from qfae_monai.files.configurations import path_text
from qfae_monai.model.folder import MANIFEST, TRAINING
from qfae_monai.model.trust import check_model_trusted
from qfae_monai.predict.model import Model

NUMBERED = re.compile(r"[0-9]{4,9}")
TRAININGS = "model"  # folder within the studies; in it a model folder for each training, which is complete or absent


class Served:
    """The model in use, opened when it is first needed, and anew after a training.

    Args:
        studies: folder of the studies; trainings on them are kept in it.
        model: model folder, or a packed one; served until there is a training.
        weights: folder of frozen networks that are not in the model folder.
        trusted: what the user said of configurations that others wrote.
    """

    def __init__(self, studies: Path, model: Path, *, weights: Path, trusted: bool = False) -> None:
        self.trainings = studies / TRAININGS
        self.given, self.weights, self.trusted = model, weights, trusted
        self._model: Model | None = None
        self._opened: tuple[Path, int | None] | None = None

    @property
    def path(self) -> Path:
        """Model folder, or packed one, in use."""
        return self._complete()[-1] if self._complete() else self.given

    @property
    def sha256(self) -> str:
        """Hash of the network in use, by which scores are kept apart."""
        return self.model().checkpoint_sha256

    def model(self) -> Model:
        """The model in use.

        Raises:
            FileNotFoundError: if the folder, a file of it or a frozen network is missing.
            ValueError: if it cannot be used, or is one of single images.
        """
        path = self.path
        found = (path, _modified_ns(path))
        if self._model is None or self._opened != found:
            self._model, self._opened = self._open(path), found
        return self._model

    def next_training(self) -> Path:
        """Folder that the next training gets when it is complete: model/0001, model/0002, ..."""
        return self.trainings / f"{int(self._complete()[-1].name) + 1 if self._complete() else 1:04d}"

    def _open(self, path: Path) -> Model:
        model = Model(path, settings={"weights_dir": path_text(self.weights)}, trusted=self.trusted)
        check_model_trusted(model.folder.path, TRAINING, trusted=self.trusted)  # which `/train` is going to run
        if model.images:
            raise ValueError(
                f"{path}: expected a model of volumes, got one of single images, which `qfae predict` scores"
            )
        return model

    def _complete(self) -> list[Path]:
        """Folders of trainings; what is called otherwise, or is a link out of them, is none of ours."""
        inside = self.trainings.resolve()
        found = (path for path in self.trainings.glob("*") if NUMBERED.fullmatch(path.name))
        own = [path for path in found if (path / MANIFEST).resolve().is_relative_to(inside)]
        return sorted(own, key=lambda path: int(path.name))


def _modified_ns(path: Path) -> int | None:
    """Time by which a changed model is told from the one before; its manifest is what is written last."""
    file = path / MANIFEST if path.is_dir() else path
    return file.stat().st_mtime_ns if file.is_file() else None
