"""Training on the datastore's normal studies; complete with its thresholds, or absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from monai.bundle import run
from monailabel.interfaces.tasks.train import TrainTask

from lib.datastore import StudyDatastore
from lib.normals import Sections, normal_studies, split
from lib.served import Served
from qfae_monai.predict.model import DATA_SETTINGS
from qfae_monai.predict.result import remove_unfinished, whole_folder

FROM_SERVED = Path(__file__).parents[1] / "from_served.json"
DEFAULTS = {"max_epochs": 10, "held_out": 0.2}


class NormalTraining(TrainTask):
    """`/train/qfae`: train on, from the checkpoint in use; thresholds of the held-out normals; only then serve it.

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
        return {"checkpoint": str(target / "model.pt"), "max_epochs": epochs, "studies": counts}

    def _train(self, folder: Path, sections: Sections, epochs: int) -> None:
        (folder / "dataset.json").write_text(json.dumps(sections, indent=1) + "\n")
        known = self.served.model().settings
        settings = {
            **{key: known[key] for key in DATA_SETTINGS if key in known},
            "dataset_dir": str(folder),
            "ckpt_dir": str(folder),
            "log_dir": str(folder / "logs"),
            "weights_dir": str(self.served.bundle / "models" / "pretrained"),
            "max_epochs": epochs,
            "val_interval": epochs,
            "served": str(self.served.checkpoint),
        }
        self._run("training", [FROM_SERVED], settings)
        evaluation = [self.served.bundle / "configs" / f"{name}.json" for name in ("evaluate", "calibrate")]
        self._run("calibrating", evaluation, settings)
        for resumable in folder.glob("resume_*.pt"):
            resumable.unlink()
        shutil.rmtree(folder / "logs", ignore_errors=True)

    def _run(self, run_id: str, further: list[Path], settings: dict[str, Any]) -> None:
        configs = self.served.bundle / "configs"
        names = ("train.json", f"presets/{self.served.preset}.json")
        files = [*(configs / name for name in names), *self.served.overlays, *further]
        run(
            run_id=run_id,
            config_file=[str(file) for file in files],
            meta_file=str(configs / "metadata.json"),
            logging_file=str(configs / "logging.conf"),
            bundle_root=str(self.served.bundle),
            **settings,
        )


def _parameters(request: dict[str, Any]) -> tuple[int, float]:
    epochs, held_out = (request.get(key, default) for key, default in DEFAULTS.items())
    if int(epochs) != float(epochs) or int(epochs) < 1:
        raise ValueError(f"max_epochs: expected a whole number of at least 1, got {epochs!r}")
    return int(epochs), float(held_out)
