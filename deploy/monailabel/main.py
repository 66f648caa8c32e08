"""The MONAI Label app: the bundle's inference, training on normal studies, and the most abnormal study first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from lib.datastore import StudyDatastore
from lib.infer import AnomalyInfer
from lib.scoring import AnomalyScoring, without_score
from lib.served import Served
from lib.strategy import MostAnomalous
from lib.train import NormalTraining
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from qfae_monai import __version__
from qfae_monai.predict.cohort import message_of
from qfae_monai.predict.result import NOTICE

logger = logging.getLogger(__name__)


class QFAEApp(MONAILabelApp):
    """One model `qfae`, one strategy `most_anomalous`, one scoring method `anomaly`.

    Args:
        app_dir: this folder.
        studies: folder of studies.
        conf: `bundle`, `checkpoint`, `preset`; `config`, further overlays separated by commas.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        overlays = [Path(name) for name in conf.get("config", "").split(",") if name]
        self.served = Served(Path(studies), Path(conf["bundle"]), Path(conf["checkpoint"]), conf["preset"], overlays)
        super().__init__(app_dir, studies, conf, "QFAE for MONAI", NOTICE, __version__)

    def init_datastore(self) -> StudyDatastore:
        return StudyDatastore(self.studies)

    def init_infers(self) -> dict[str, AnomalyInfer]:
        return {"qfae": AnomalyInfer(self.served)}

    def init_trainers(self) -> dict[str, NormalTraining]:
        return {"qfae": NormalTraining(self.served)}

    def init_strategies(self) -> dict[str, MostAnomalous]:
        return {"most_anomalous": MostAnomalous(self.served)}

    def init_scoring_methods(self) -> dict[str, AnomalyScoring]:
        return {"anomaly": AnomalyScoring(self.served)}

    def init_batch_infer(self) -> Callable:
        return OneByOne()

    def infer(self, request: dict[str, Any], datastore: StudyDatastore | None = None) -> dict[str, Any]:
        """As in MONAI Label; what cannot be scored is answered with the reason."""
        with answered():
            return super().infer({**request, "source": str(self._source(request["image"]))}, datastore)

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        with answered():
            return super().train(request)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        with answered():
            return super().next_sample(request)

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """As in MONAI Label, which calls it after each sample and training; no process where nothing is to be done."""
        pending = without_score(self.datastore(), self.served.sha256)
        return super().async_scoring(method, params) if pending else {}

    def _source(self, image: str) -> Path:
        """A study's id; else the path of what a viewer has uploaded."""
        known = image in self.datastore().list_images()
        path = Path(image)
        return path if not known and path.is_absolute() and path.exists() else self.datastore().source(image)


class OneByOne(BatchInferTask):
    """Batch inference with the one model that is loaded; MONAI Label's own fails on a machine without a GPU."""

    def __call__(self, request: dict[str, Any], datastore: StudyDatastore, infer: Callable) -> dict[str, Any]:
        return super().__call__({**request, "multi_gpu": False, "max_workers": 1}, datastore, infer)


@contextmanager
def answered() -> Iterator[None]:
    """Errors that a client can act on, as its answer: 404 for what is not there, 422 for what cannot be used."""
    try:
        yield
    except MONAILabelException as error:  # a model or strategy that is not there
        raise HTTPException(404, error.msg) from error
    except (ValueError, OSError, RuntimeError) as error:
        logger.warning("refused: %s", message_of(error))
        status = 404 if isinstance(error, FileNotFoundError) else 422
        raise HTTPException(status, message_of(error)) from error
