"""A model folder, opened and called on one study at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms.utils import allow_missing_keys_mode
from numpy.typing import ArrayLike, NDArray

from qfae_monai import __version__
from qfae_monai.anomaly import Calibration, OnnxDetector
from qfae_monai.data.pictures import is_picture, picture_of
from qfae_monai.files import sha256_of
from qfae_monai.files.configurations import path_text
from qfae_monai.files.machine_memory import check_memory
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.fingerprint import ScanFingerprint
from qfae_monai.model.folder import CALIBRATION, FINGERPRINT, INFERENCE, ModelFolder
from qfae_monai.model.packing import unpacked
from qfae_monai.model.scan_features import ScanFeatures, features_of
from qfae_monai.model.trust import check_model_trusted
from qfae_monai.networks.precision import prepare_precision
from qfae_monai.predict.finding import Finding, judged, scan_of, tensor_of
from qfae_monai.predict.prediction import Prediction, Prepared, Shown, shown_of
from qfae_monai.transforms import ThresholdMap
from qfae_monai.transforms.grey_slices import SlicedVolume
from qfae_monai.weights import find_weights, load_checkpoint

GRAPH = "models/detector.onnx"

INTEGER_BYTES, VOLUME_BYTES, IMAGE_BYTES = 16, 28, 72
"""At the peak of scoring, all copies of image, map and mask: of a voxel, whole numbers or others, and of a pixel."""


class Model:
    """A model folder ready to score; loaded once, used for many studies.

    Args:
        path: model folder, or the .zip that `qfae model pack` made of one.
        settings: keys of its configuration by name, such as `device`, `forward_batch` or `weights_dir`; none that
            changes pixels or scores.
        runtime: `torch`, or `onnx` for the graph that `qfae export` wrote into the folder.
        trusted: what the user said of configurations that this package did not write.

    Raises:
        FileNotFoundError: if the folder, a file of it or pretrained weights are missing.
        ValueError: if it is no model or one of a newer version, a file or a number of it has changed, its thresholds
            are of another model, or its configuration would run code of others; nothing is built then.
    """

    def __init__(
        self,
        path: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        runtime: Literal["torch", "onnx"] = "torch",
        trusted: bool = False,
    ) -> None:
        self.folder = ModelFolder.open(unpacked(Path(path)))
        check_model_trusted(self.folder.path, trusted=trusted)
        self.images = self.folder.images
        given = {"bundle_root": path_text(self.folder.path), **(settings or {})}
        if not self.images:
            given["read"] = {"_target_": "monai.transforms.Identityd", "keys": "image"}  # volumes come as read
        self.bundle = Bundle([self.folder.path / INFERENCE], given)
        self.bundle.check_known(settings or {})
        self._signature = self.bundle.signature
        self.folder.check_signature(self._signature)  # before anything is built or loaded
        self._check_frozen()
        self.checkpoint = self.folder.checkpoint
        self.checkpoint_sha256 = self.folder.files["models/model.pt"]
        stated = self.folder.path / FINGERPRINT
        self.fingerprint = ScanFingerprint.read(stated) if stated.is_file() else None  # of the training scans
        self.device: torch.device = self.bundle.part("device")
        prepare_precision(self.device, self.bundle.part("precision"))
        self.network = self._trained() if runtime == "torch" else self._exported()
        self.calibration: Calibration | None = self.bundle.part("calibration")
        self.inferer = self.bundle.part("inferer")
        self.preprocessing = self.bundle.part("preprocessing")
        self.axis = int(self.bundle.part("slice_axis"))
        self.pixel_threshold: float | None = self.bundle.part("pixel_threshold")
        self._rates = {key: self.bundle.part(key) for key in ("false_positive_rate", "pixel_false_positive_rate")}
        self._slice_range = self.bundle.part("slice_range")
        self._inverting = Lock()  # what lets keys be missing is one for all threads

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
        prepared = self.prepared(image)
        del image  # a study's memory is that of its image and map
        return self.prediction(prepared, self.scored(prepared, progress))

    def prepared(self, image: MetaTensor | Path) -> Prepared:
        """First of the three steps of a call, which needs no network: any thread may take it, beside the network's."""
        name = str(image) if isinstance(image, Path) else str(image.meta.get("filename_or_obj", "image"))
        if isinstance(image, Path) or self.images:  # a radiograph in DICOM comes as read
            data = self.preprocessing({"image": name if isinstance(image, Path) else image})
            _check_memory(data["image"], name, IMAGE_BYTES)  # its size is known by now; reading it took less
            return Prepared(data)
        _check_memory(image, name, VOLUME_BYTES if image.is_floating_point() else INTEGER_BYTES)
        prepared = Prepared(*SlicedVolume(self.preprocessing, self.axis)({"image": image}))
        _ = prepared.slices and prepared.slices.foreground  # counted here, for the choice of slices
        return prepared

    def scored(
        self, prepared: Prepared, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict[str, torch.Tensor]:
        """Second step, in the network's thread: maps and scores, as `AnomalyInferer` gives them."""
        total = 1 if prepared.slices is None else len(prepared.slices)
        done = 0

        def network(images: torch.Tensor, **position: torch.Tensor) -> Any:  # a graph takes slices' places, too
            nonlocal done
            found = self.network(images, **position)
            done += len(images)  # slices of this forward batch
            progress(done, total)
            return found

        if prepared.slices is None:
            return self.inferer(prepared.data["image"][None].to(self.device), network)  # of (1, 1, H, W)
        return self.inferer.volume(prepared.slices, network, self.device)

    def prediction(self, prepared: Prepared, output: dict[str, torch.Tensor]) -> Prediction:
        """Third step, in any thread: the map on the input's grid, and the mask. Uses up what the others gave."""
        if prepared.slices is None:
            pixels = _plain(prepared.data["image"])
            shown = Shown(np.arange(1), pixels, _plain(output["anomaly_map"][0]), float(pixels.min()))
        else:
            shown, prepared.slices = shown_of(prepared.slices, output), None
        image: MetaTensor = prepared.data.pop("image")
        how: dict[str, Any] = {"meta": image.meta, "applied_operations": list(image.applied_operations)}
        del image  # its memory is the inverse's
        anomaly_map = self._on_input_grid(MetaTensor(output.pop("anomaly_map")[0].cpu(), **how))
        mask = None if self.pixel_threshold is None else ThresholdMap(self.pixel_threshold)(anomaly_map.as_tensor())
        return Prediction(
            anomaly_map=_plain(anomaly_map).astype(np.float32, copy=False),
            mask=None if mask is None else _plain(mask),
            score=float(output["score"][0]),
            slice_scores=output["slice_scores"][0].double().cpu().numpy(),  # (slices,), NaN where skipped
            axis=self.axis,
            empty=int(output["empty"][0]),
            outside=int(output["outside"][0]),
            visible=int(output["visible"][0]),
            shown=shown,
        )

    def _on_input_grid(self, found: MetaTensor) -> MetaTensor:
        """(1, X, Y, Z) with the operations that led to its grid -> the grid that the image came with."""
        data: dict[Any, Any] = {"image": found}
        with self._inverting, allow_missing_keys_mode(self.preprocessing):  # it has keys of masks, too
            return self.preprocessing.inverse(data)["image"]

    def predict(self, scan: str | Path | ArrayLike, affine: ArrayLike | None = None) -> Finding:
        """Score one scan.

        Args:
            scan: path of a DICOM folder, volume or image; or voxels (X, Y, Z) in the unit of their modality.
            affine: (4, 4) of voxels, mm in RAS; none beside a path.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the scan is refused or cannot be scored, or voxels have no affine.
        """
        read = scan_of(scan, affine)
        picture = isinstance(read, Path) or (not isinstance(read, MetaTensor) and is_picture(read))
        if picture != self.images:
            kinds = ("a volume", "a single image")
            raise ValueError(f"{scan!s:.200}: expected {kinds[self.images]}, as the model was trained on")
        if isinstance(read, Path | MetaTensor):
            image = read
        else:
            image = picture_of(read, str(scan)) if picture else tensor_of(read.array, read.affine, str(scan))
        found = self(image)
        calibration = None if found.uncovered else self.calibration
        p_value, _, above = judged(calibration, found.score, self._rates["false_positive_rate"])
        warnings = () if isinstance(read, MetaTensor) else self.warnings_on(features_of(read), found.axis)
        grid = None if picture or isinstance(image, Path) else np.asarray(image.affine, dtype=np.float64)
        return Finding(
            found.score,
            p_value,
            above,
            found.anomaly_map,
            found.mask,
            found.slice_scores,
            found.axis,
            grid,
            (*found.uncovered, *warnings),
        )

    def warnings_on(self, features: ScanFeatures, axis: int) -> list[str]:
        """Warnings on a scan that lies outside of the training scans; empty if the model has no record of them."""
        if self.fingerprint is None:
            return []
        return self.fingerprint.outside(features, slice_axis=axis, slice_range=self._slice_range)

    @property
    def identity(self) -> dict[str, Any]:
        """Hashes and version that trace a result to its model."""
        return {
            "checkpoint_sha256": self.checkpoint_sha256,
            "calibration_sha256": None if self.calibration is None else self.folder.files.get(CALIBRATION),
            "configuration_sha256": sha256(json.dumps(self._signature, sort_keys=True).encode()).hexdigest(),
            "version": __version__,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Settings besides the checkpoint that the scores depend on, by name, and the wanted false-positive rates."""
        return {**self._signature, **self._rates}

    def _trained(self) -> Callable[[torch.Tensor], Any]:
        load_checkpoint(self.bundle.part("network_def"), self.checkpoint)
        return self.bundle.part("network").eval()

    def _exported(self) -> Callable[[torch.Tensor], Any]:
        """The whole graph, which scores, too; neither weights nor network are needed then."""
        self.bundle.config["inferer::scorer"] = None  # or its weights would be looked for
        return OnnxDetector(
            self.folder.path / GRAPH,
            image_size=self.bundle.part("model")["image_size"],
            expected_checkpoint_sha256=self.checkpoint_sha256,
            settings=self._signature,
        )

    def _check_frozen(self) -> None:
        """Networks that are not in the folder are looked up by name, and must be those that were trained with."""
        for one in self.folder.content["frozen"]:
            if one["file"] is not None or one["sha256"] is None:  # in the folder, or of a fixed seed
                continue
            file = find_weights(one["name"], self.bundle.part("weights_dir"))
            found = sha256_of(file)
            if found != one["sha256"]:
                raise ValueError(
                    f"{file}: expected the {one['role']} network {one['name']} that the model was trained with "
                    f"(SHA-256 {one['sha256'][:12]}), got another ({found[:12]})"
                )


def load_model(
    path: str | Path,
    *,
    device: str | None = None,
    runtime: Literal["torch", "onnx"] = "torch",
    trusted: bool = False,
    **settings: Any,
) -> Model:
    """Open a model folder, once for many scans.

    Args:
        path: model folder, or a packed one (.zip).
        device: `cpu`, `cuda` ...; None for cuda where there is one.
        runtime: `onnx` for the graph that `qfae export` wrote.
        trusted: whether configurations that this package did not write may run.
        settings: keys of the model's configuration, such as `forward_batch` or `weights_dir`.

    Raises:
        FileNotFoundError, ValueError: as `Model`.
    """
    given = settings if device is None else {**settings, "device": f"$torch.device({device!r})"}
    return Model(Path(path), settings=given, runtime=runtime, trusted=trusted)


def _check_memory(image: torch.Tensor, name: str, voxel_bytes: int) -> None:
    what = f"{' x '.join(map(str, image.shape[1:]))} voxels to score"
    check_memory(name, image.numel() * voxel_bytes, what)


def _plain(image: torch.Tensor) -> NDArray:
    """(1, X, Y, Z) or (1, H, W) -> (X, Y, Z) or (H, W)."""
    return torch.as_tensor(image)[0].as_subclass(torch.Tensor).cpu().numpy()
