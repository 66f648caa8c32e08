"""The MONAI Label app: the bundle's inference, training on normal studies, and the most abnormal study first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib.answers import answered
from lib.datastore import StudyDatastore
from lib.infer import AnomalyInfer
from lib.scoring import AnomalyScoring, without_score
from lib.served import Served
from lib.strategy import MostAnomalous
from lib.train import NormalTraining
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from qfae_monai import __version__
from qfae_monai.predict.result import NOTICE


class QFAEApp(MONAILabelApp):
    """One model `qfae`, one strategy `most_anomalous`, one scoring method `anomaly`.

    Args:
        app_dir: this folder.
        studies: folder of studies.
        conf: `model` and `weights`, paths; `trust`, yes or no: as the options of serve.py.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        model, weights = Path(conf["model"]), Path(conf["weights"])
        self.served = Served(Path(studies), model, weights=weights, trusted=conf["trust"] == "yes")
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
        """Mask or map of a study by its name, or of a file that the server has just received, as `source`.

        MONAI Label's own takes any path that exists for an image.
        """
        with answered():
            task, store = self._task("model", request["model"], self._infers), datastore or self.datastore()
            file, found = task({**request, "source": request.get("source") or str(store.source(request["image"]))})
            if request.get("save_label"):
                store.save_label(request["image"], file, request["label_tag"], {"model": "qfae", "params": found})
            return {"label": file, "tag": request.get("label_tag"), "file": file, "params": found}

    def known(self, kind: str, request: dict[str, Any]) -> None:
        """Check that a background task's model or method is there.

        Raises:
            MONAILabelException: if it is not.
        """
        tasks = {"train": self._trainers, "batch_infer": self._infers, "scoring": self._scoring_methods}[kind]
        key = "method" if kind == "scoring" else "model"
        self._task(key, request[key], tasks)

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        with answered():
            return super().train(request)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        with answered():
            return super().next_sample(request)

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """As in MONAI Label, which calls it after each sample and training; no process where nothing is to be done.

        A training runs in a process of its own, from which MONAI Label would ask the server, without its token: there
        studies are scored at once.
        """
        if not without_score(self.datastore(), self.served.sha256):
            return {}
        if self._server_mode:
            return super().async_scoring(method, params)
        return {name: self.scoring({"method": name}) for name in ([method] if method else self._scoring_methods)}

    def _task(self, key: str, name: str, tasks: dict[str, Any]) -> Any:
        if name not in tasks:
            raise MONAILabelException(
                MONAILabelError.INVALID_INPUT, f"{key}: expected {' or '.join(tasks)}, got {name!r}"
            )
        return tasks[name]


class OneByOne(BatchInferTask):
    """Batch inference with the one model that is loaded; MONAI Label's own fails on a machine without a GPU."""

    def __call__(self, request: dict[str, Any], datastore: StudyDatastore, infer: Callable) -> dict[str, Any]:
        return super().__call__({**request, "multi_gpu": False, "max_workers": 1}, datastore, infer)
