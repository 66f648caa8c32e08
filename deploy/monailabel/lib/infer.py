"""Inference: the mask or the map of a study on its own grid, with its scores."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.transform.writer import Writer

from lib.datastore import NIFTI, study_of
from lib.served import Served
from qfae_monai.predict.model import Model
from qfae_monai.predict.prediction import Prediction
from qfae_monai.predict.result import save_volume
from qfae_monai.predict.study_steps import score_study
from qfae_monai.transforms import ThresholdMap

LABELS = {"anomaly": 1}
OUTPUT_TYPES = ("mask", "map")
RATE = "pixel_false_positive_rate"
NO_THRESHOLDS = (
    "{path}: expected a model with thresholds for a mask, got one without calibration.json; ask for "
    '{{"output_type": "map"}}, or let `qfae calibrate` take thresholds'
)


class AnomalyInfer(InferTask):
    """`/infer/qfae`: what `qfae predict` writes of a study, as a file and as the response's parameters.

    Parameters of a request: `output_type` mask (uint8, 1 is above the threshold) or map (float32);
    `pixel_false_positive_rate`, the share of normal pixels that the threshold lets through.
    """

    def __init__(self, served: Served) -> None:
        description = "Q-Former Autoencoder: what does not look like the normal scans it was trained on"
        config = {"output_type": list(OUTPUT_TYPES), RATE: 0.01}
        super().__init__(InferType.SEGMENTATION, LABELS, 3, description, config)
        self.served = served

    def is_valid(self) -> bool:
        return True

    def info(self) -> dict[str, Any]:
        """Beside MONAI Label's own entries: which model, and how many normal scans its thresholds are from."""
        model = self.served.model()
        normals = None if model.calibration is None else len(model.calibration.volume_scores)
        return {**super().info(), **model.identity, "normal_volumes_for_thresholds": normals}

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """
        Raises:
            FileNotFoundError: if there is no such study.
            ValueError: if it is refused, or a parameter is wrong, or a mask is asked for and there are no thresholds.
        """
        begin = time.time()
        output_type, model = _output_type(request), self.served.model()
        rate = float(request.get(RATE, model.settings[RATE]))
        threshold = None if model.calibration is None else model.calibration.pixel_threshold(rate)
        if output_type == "mask" and threshold is None:
            raise ValueError(NO_THRESHOLDS.format(path=self.served.path))
        found, affine, scores = _score(Path(request["source"]), model)
        scores["settings"][RATE], scores["pixel_threshold"] = rate, threshold
        pixels = torch.as_tensor(found.anomaly_map)
        if threshold is not None and output_type == "mask":
            pixels = ThresholdMap(threshold)(pixels)
        file = _write(MetaTensor(pixels, affine=affine), request)
        times = {"total": round(time.time() - begin, 2)}
        return file, {**scores, "label_names": LABELS, "latencies": times, "centroids": {}}


def _score(source: Path, model: Model) -> tuple[Prediction, torch.Tensor, dict[str, Any]]:
    study = study_of(source)
    if study.is_image:
        raise ValueError(f"{source}: expected a volume, got a single image; `qfae predict` scores those")
    read, found, scores = score_study(study, model, study.hash())
    assert not isinstance(read, Path)
    return found, torch.as_tensor(read.affine), scores


def _output_type(request: dict[str, Any]) -> str:
    wanted = request.get("output_type", OUTPUT_TYPES[0])
    if wanted not in OUTPUT_TYPES:
        raise ValueError(f"output_type: expected one of {', '.join(OUTPUT_TYPES)}, got {wanted!r}")
    return str(wanted)


def _write(pixels: MetaTensor, request: dict[str, Any]) -> str:
    """A file in the format that the viewer asks for. Its type is ours: as uint8 a map would be zero everywhere.

    NIfTI is written as `qfae predict` does: MONAI Label's states a qform that drops the shear of tilted CT. In NRRD and
    MetaImage its directions keep it.
    """
    wanted = request.get("result_extension") or NIFTI[-1]
    if wanted in NIFTI:
        with tempfile.NamedTemporaryFile(suffix=wanted, delete=False) as file:
            save_volume(Path(file.name), pixels.numpy(), pixels.affine.numpy())
        return file.name
    data = {
        "pred": pixels,
        "result_extension": wanted,
        "result_dtype": pixels.numpy().dtype,
        "result_compress": request.get("result_compress", False),
    }
    return str(Writer(label="pred", json="result", nibabel=True)(data)[0])
