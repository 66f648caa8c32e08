"""Training on the datastore's normal studies; complete with its thresholds, or absent."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.train import TrainTask

from lib.datastore import StudyDatastore
from lib.normals import Sections, normal_studies, split
from lib.served import Served
from qfae_monai.files import write_json
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import LOCAL, PERCEPTUAL, TRAINING
from qfae_monai.predict.result import remove_unfinished, whole_folder

DEFAULTS = {"max_epochs": 10, "held_out": 0.2}


class NormalTraining(TrainTask):
    """`/train/qfae`: train on, from the model in use; thresholds of the held-out normals; only then serve it.

    Parameters of a request: `max_epochs`; `held_out`, share of the patients that thresholds are taken from.
    """

    def __init__(self, served: Served) -> None:
        super().__init__("Train on with the studies that readers called normal")
        self.served = served

    def config(self) -> dict[str, Any]:
        return dict(DEFAULTS)

    def __call__(self, request: dict[str, Any], datastore: StudyDatastore) -> dict[str, Any]:
        """
        Raises:
            ValueError: if there are too few normal studies, or a parameter is wrong.
        """
        epochs, held_out = _parameters(request)
        sections = split(normal_studies(datastore), held_out)
        self.served.trainings.mkdir(exist_ok=True)
        remove_unfinished(self.served.trainings)
        target = self.served.next_training()
        with whole_folder(target) as folder:
            self._train(folder.absolute(), sections, epochs)
        counts = {section: len(studies) for section, studies in sections.items()}
        return {"model": str(target), "max_epochs": epochs, "studies": counts}

    def _train(self, folder: Path, sections: Sections, epochs: int) -> None:
        local = folder / LOCAL
        local.mkdir()
        write_json(local / "dataset.json", sections)
        model = self.served.model().folder
        places = {"dataset_dir": path_text(local), "weights_dir": path_text(self.served.weights)}
        settings = {
            **places,
            "bundle_root": path_text(model.path),  # whose values the training starts from
            "model_dir": path_text(folder),
            "include_weights": PERCEPTUAL in model.files or None,
            "max_epochs": epochs,
            "val_interval": epochs,
        }
        Bundle([model.path / TRAINING], settings).run("training")
        own = {**places, "bundle_root": path_text(folder)}
        Bundle([folder / TRAINING, "evaluate", "calibrate"], own).run("calibrating")
        for resumable in local.glob("resume_*.pt"):
            resumable.unlink()
        shutil.rmtree(local / "logs", ignore_errors=True)


def _parameters(request: dict[str, Any]) -> tuple[int, float]:
    epochs, held_out = (request.get(key, default) for key, default in DEFAULTS.items())
    if int(epochs) != float(epochs) or int(epochs) < 1:
        raise ValueError(f"max_epochs: expected a whole number of at least 1, got {epochs!r}")
    return int(epochs), float(held_out)
