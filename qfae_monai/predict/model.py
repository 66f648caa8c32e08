"""The bundle's inference configuration with a checkpoint in it, called on one study at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv
from monai.data import MetaTensor
from numpy.typing import NDArray

from qfae_monai import __version__
from qfae_monai.bundle_errors import root_cause
from qfae_monai.files.configurations import path_text
from qfae_monai.inferers import OnnxDetector
from qfae_monai.machine_memory import check_memory
from qfae_monai.model.fingerprint import ScanFingerprint
from qfae_monai.networks.precision import prepare_precision
from qfae_monai.scoring import Calibration, fingerprint
from qfae_monai.scoring.calibration import read_calibration
from qfae_monai.weights import load_checkpoint

# what a model's thresholds were made with and a preset does not say: taken from its calibration
DATA_SETTINGS = (
    "slice_axis", "slice_range", "min_foreground", "volume_score_over_slices", "volume_score_k", "score_consensus",
    "score_over_pixels", "score_over_layers", "map_over_layers",
)  # fmt: skip

VOLUME_BYTES, IMAGE_BYTES = 40, 72
"""Of a voxel and of a pixel at the peak of scoring, all copies of image, map and mask; measured are 26 and 69."""


@dataclass(frozen=True)
class Prediction:
    """What was found in one study.

    anomaly_map: (X, Y, Z) float32 on the input's own grid; mask: uint8, 1 is above the threshold, None without one.
    score: of the volume; slice_scores: (slices,), NaN where a slice was skipped; along `axis` of the RAS orientation.
    shown, shown_map: (X, Y, Z) in RAS orientation or (H, W), for pictures; spacing: its voxels in mm.
    """

    anomaly_map: NDArray[np.float32]
    mask: NDArray[np.uint8] | None
    score: float
    slice_scores: NDArray[np.float64]
    axis: int
    empty: int
    outside: int
    shown: NDArray[np.float32] = field(repr=False)
    shown_map: NDArray[np.float32] = field(repr=False)
    spacing: tuple[float, ...] | None = None


class Model:
    """A checkpoint ready to score.

    Args:
        bundle: the bundle's folder.
        checkpoint: file that a training wrote; `calibration.json` beside it gives thresholds, and the slices and
            reductions that they were made with.
        preset: the one that it was trained with.
        overlays: further configurations that it was trained with, such as a window in HU.
        images: whether single images are scored instead of volumes.
        onnx: the whole graph that `qfae export` made of the checkpoint, to be run by ONNX Runtime; None for PyTorch.
        settings: keys of the configuration by name.

    Raises:
        FileNotFoundError: if the checkpoint, a configuration or pretrained weights are missing.
        ValueError: if the checkpoint was made with another preset, or the calibration beside it is of another one or
            holds anything but what a calibration holds; nothing is built then.
    """

    def __init__(
        self,
        bundle: Path,
        *,
        checkpoint: Path,
        preset: str,
        overlays: Sequence[Path] = (),
        images: bool = False,
        onnx: Path | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.checkpoint, self.preset, self.overlays = checkpoint, preset, tuple(overlays)
        self.checkpoint_sha256 = fingerprint(checkpoint)
        names = ["inference", f"presets/{preset}", *(["images"] if images else [])]
        files = [*(bundle / "configs" / f"{name}.json" for name in names), *overlays]
        self.config = _configuration(files, _calibrated_settings(checkpoint, self.checkpoint_sha256))
        given = {"bundle_root": path_text(bundle), "ckpt_path": path_text(checkpoint), **(settings or {})}
        if not images:
            given["load_image"] = {"_target_": "monai.transforms.Identityd", "keys": "image"}  # volumes come as read
        for key, value in given.items():
            self.config[key] = value
        self.images = images
        self.fingerprint: ScanFingerprint | None = None  # of the training scans
        self.device: torch.device = self._part("device")
        prepare_precision(self.device, self._part("precision"))
        self.network = self._trained() if onnx is None else self._exported(onnx)
        self.calibration: Calibration | None = self._part("calibration")
        self.inferer = self._part("inferer")
        self.preprocessing = self._part("preprocessing")
        self.to_input_grid = self._part("to_input_grid")

    def __call__(
        self, image: MetaTensor | Path, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Prediction:
        """
        Args:
            image: volume (1, X, Y, Z) with its affine, in the unit of its modality; or the file of an image.
            progress: called with the number of slices done and of slices in all.

        Raises:
            ValueError: if it cannot be scored, or needs more memory than there is.
        """
        if not isinstance(image, Path):
            _check_memory(image, str(image.meta.get("filename_or_obj", "image")), VOLUME_BYTES)
        data = self.preprocessing({"image": str(image) if isinstance(image, Path) else image})
        if isinstance(image, Path):  # its size is known by now; reading it took less
            _check_memory(data["image"], str(image), IMAGE_BYTES)
        axis = int(self._part("slice_axis"))
        total = 1 if self.images else int(data["image"].shape[1 + axis])
        done = 0

        def network(images: torch.Tensor) -> torch.Tensor:
            nonlocal done
            found = self.network(images)
            done += len(images)
            progress(done, total)
            return found

        output = self.inferer(data["image"][None].to(self.device), network)
        found = self.to_input_grid({**data, "anomaly_map": output["anomaly_map"][0].cpu()})
        mask = found.get("mask")
        affine = None if self.images else np.asarray(data["image"].affine)
        return Prediction(
            anomaly_map=_plain(found["pred"]).astype(np.float32),
            mask=None if mask is None else _plain(mask).astype(np.uint8),
            score=float(output["score"][0]),
            slice_scores=output["slice_scores"][0].double().cpu().numpy(),
            axis=axis,
            empty=int(output["empty"][0]),
            outside=int(output["outside"][0]),
            shown=_plain(data["image"]),
            shown_map=_plain(output["anomaly_map"][0]),
            spacing=None if affine is None else tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist()),
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What a result is traced by."""
        return {
            "checkpoint_sha256": self.checkpoint_sha256,
            "calibration_sha256": None if self.calibration is None else fingerprint(self._part("calibration_path")),
            "preset": self.preset,
            "overlays_sha256": [fingerprint(overlay) for overlay in self.overlays],
            "version": __version__,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What the scores depend on beside the checkpoint, and the wanted false-positive rates."""
        rates = {key: self._part(key) for key in ("false_positive_rate", "pixel_false_positive_rate")}
        return {**self._part("score_settings"), **rates}

    @property
    def pixel_threshold(self) -> float | None:
        """Map value above which a voxel is called abnormal."""
        return self._part("pixel_threshold")

    def _trained(self) -> Callable[[torch.Tensor], Any]:
        """The network first: it needs no pretrained file, so another preset is told from missing weights."""
        network = self._part("network_def")
        try:
            load_checkpoint(network, self.checkpoint)
        except ValueError as error:
            raise ValueError(f"{error} (was it trained with another preset than {self.preset!r}?)") from error
        return self._part("network").eval()

    def _exported(self, onnx: Path) -> Callable[[torch.Tensor], Any]:
        """The whole graph, which scores, too; neither weights nor network are needed then."""
        self.config["inferer::scorer"] = None
        return OnnxDetector(
            onnx, image_size=self._part("image_size"), expected_checkpoint_sha256=self.checkpoint_sha256,
            settings=self._part("score_settings"),
        )  # fmt: skip

    def _part(self, key: str) -> Any:
        try:
            return self.config.get_parsed_content(key)
        except RuntimeError as error:  # MONAI wraps whatever goes wrong in what it builds
            cause = root_cause(error)
            raise cause if isinstance(cause, ValueError | OSError) else ValueError(f"{key}: {cause}") from error


def _check_memory(image: torch.Tensor, name: str, voxel_bytes: int) -> None:
    what = f"{' x '.join(map(str, image.shape[1:]))} voxels to score"
    check_memory(name, image.numel() * voxel_bytes, what)


def _configuration(files: Sequence[Path], settings: dict[str, Any]) -> ConfigParser:
    """Configurations merged in order; settings of a calibration count more than the presets and less than overlays."""
    config = ConfigParser()
    config.read_config(str(_existing(files[0])))
    merged = config.get()
    for place, file in enumerate(files[1:]):
        if place == 1:
            merged.update(settings)
        for key, value in ConfigParser.load_config_file(str(_existing(file))).items():
            merge_kv(merged, key, value)
    if len(files) == 2:
        merged.update(settings)
    config.set(merged)
    return config


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: expected a configuration of the bundle, found none")
    return file


def _calibrated_settings(checkpoint: Path, sha256: str) -> dict[str, Any]:
    """Settings of the calibration beside a checkpoint, if it is one of this checkpoint; none without a file."""
    path = checkpoint.parent / "calibration.json"
    if not path.is_file():
        return {}
    found = read_calibration(path, checkpoint=checkpoint, checkpoint_sha256=sha256).settings
    return {key: found[key] for key in DATA_SETTINGS if key in found}


def _plain(image: torch.Tensor) -> NDArray:
    """(1, X, Y, Z) or (1, H, W) -> (X, Y, Z) or (H, W)."""
    return torch.as_tensor(image)[0].as_subclass(torch.Tensor).cpu().numpy()
