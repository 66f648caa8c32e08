"""Models of the library anomalib as rivals: it trains them by its own engine, on tensors in place of files."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from qfae_monai.experiments.rivals.catalogue import Method
from qfae_monai.experiments.rivals.local_weights import local_weights
from qfae_monai.experiments.rivals.trained import Course, Detection, RivalFailedError, TrainedRival
from qfae_monai.weights import WeightsNotFoundError

TEXTURES = "dtd"
FRE_CHANNELS, FRE_STRIDE = 1024, 32
OFF = {"post_processor": False, "evaluator": False, "visualizer": False}  # thresholds and figures are this package's


class AnomalibRival(TrainedRival):
    """One model of anomalib.

    Its own pre-processing normalises what it gets, which is float tensors in [0, 1]: anomalib's file readers clip
    images of more than 8 bits. Scores are the model's own image scores, before anomalib's normalisation.

    Args:
        method: of the catalogue.
        image_size: side of the images that it is given, pixels; it sees the next multiple of its unit.
        batch_size: images in a step.
        folders: of the weights that it is built on.
        filled: whether all values come from a checkpoint later.

    Raises:
        ImportError: without anomalib.
        ValueError: if this version of anomalib has no such model.
        WeightsNotFoundError: if weights are not there.
    """

    def __init__(
        self,
        method: Method,
        image_size: int,
        *,
        batch_size: int = 16,
        folders: Sequence[Path] = (),
        filled: bool = False,
    ) -> None:
        super().__init__()
        self.method, self.image_size = method, image_size
        self.side = method.unit * math.ceil(image_size / method.unit)  # pixels that the model sees
        kind = model_class(method)
        with local_weights(folders, filled=filled), quiet_library():
            self.module = kind(
                **self._arguments(kind, batch_size, folders), pre_processor=self._pre_processor(kind), **OFF
            )

    def fit(self, images: Tensor, course: Course) -> None:
        engine = import_module("anomalib.engine").Engine
        settings = {
            "max_epochs": 1 if self.method.once else course.epochs,
            "accelerator": "gpu" if course.device.type == "cuda" else "cpu",
            "devices": 1,
            "barebones": True,  # no logs, no checkpoints
        }
        with TemporaryDirectory() as folder, quiet_library():
            normals = tensors_module(images, course.batch_size, whole=self.method.once)
            try:
                engine(default_root_dir=folder, **settings).fit(model=self.module, datamodule=normals)
            except Exception as error:  # each of the models has errors of its own
                raise RivalFailedError(
                    f"{self.method.name}: anomalib could not train it on images of {self.side} pixels "
                    f"({type(error).__name__}: {error})"
                ) from error
        self.module._trainer = None  # it holds the training images
        self.eval().cpu()

    def detect(self, grey: Tensor) -> Detection:
        found = self.module(grey.expand(-1, 3, -1, -1))
        return Detection(getattr(found, "anomaly_map", None), found.pred_score.reshape(len(grey)))

    def _pre_processor(self, kind: Any) -> Any:
        size = {"image_size": (self.side, self.side)}
        if kind.__name__ in ("Dinomaly", "InpFormer"):  # they cut the middle out of an image
            size["crop_size"] = self.side  # type: ignore[assignment]
        return kind.configure_pre_processor(**size)

    def _arguments(self, kind: Any, batch_size: int, folders: Sequence[Path]) -> dict[str, Any]:
        arguments = dict(self.method.arguments)
        if kind.__name__ == "Ganomaly":
            arguments["batch_size"] = batch_size
        if kind.__name__ == "Fre":  # of ResNet-50's third stage, at a sixteenth of the size and pooled by two
            arguments["input_dim"] = FRE_CHANNELS * (self.side // FRE_STRIDE) ** 2
        if kind.__name__ == "Draem":
            arguments["dtd_dir"] = textures(folders)
        return arguments


def model_class(method: Method) -> Any:
    """The library's class of a rival.

    Raises:
        ImportError: without anomalib; the message says how to install it.
        ValueError: if this version of anomalib has no such model.
    """
    try:
        with quiet_library():
            models = import_module("anomalib.models")
    except ImportError as error:
        raise ImportError(
            f"{method.name}: expected the library anomalib, got none ({error}); in the checkout "
            "`make rivals` installs it"
        ) from error
    if not hasattr(models, method.model):
        try:
            installed = version("anomalib")
        except PackageNotFoundError:
            installed = "of unknown version"
        raise ValueError(
            f"{method.name}: expected anomalib with the model {method.model} (2.7.0 has it), got anomalib {installed} "
            "without it"
        )
    return getattr(models, method.model)


def textures(folders: Sequence[Path]) -> Path:
    """Folder of the Describable Textures that DRAEM paints with; raises WeightsNotFoundError if it is not there."""
    for folder in folders:
        if (folder / TEXTURES).is_dir():
            return folder / TEXTURES
    places = ", ".join(str(folder / TEXTURES) for folder in folders) or f"{TEXTURES} in a folder given by --weights"
    raise WeightsNotFoundError(f"draem: expected the images of the Describable Textures Dataset in {places}, got none")


def tensors_module(images: Tensor, batch_size: int, *, whole: bool) -> Any:
    """A Lightning data module that hands out normal images as anomalib's batches.

    Args:
        images: (N, 1, S, S) in [0, 1].
        batch_size: images in a step.
        whole: whether a last batch of fewer images is handed out, too.
    """
    lightning = import_module("lightning.pytorch")
    batches = import_module("anomalib.data").ImageBatch
    batch_size = min(batch_size, len(images))

    def collate(items: Sequence[tuple[Tensor]]) -> Any:
        image = torch.stack([item[0] for item in items]).expand(-1, 3, -1, -1).contiguous()  # (B, 3, S, S)
        masks = torch.zeros(len(items), *image.shape[2:], dtype=torch.bool)
        return batches(image=image, gt_label=torch.zeros(len(items), dtype=torch.bool), gt_mask=masks)

    class NormalImagesModule(lightning.LightningDataModule):  # type: ignore[name-defined]
        """Training images alone: what is tested is scored by this package."""

        name, category, train_batch_size = "normals", "", batch_size

        def train_dataloader(self) -> DataLoader:
            return DataLoader(
                TensorDataset(images), batch_size=batch_size, shuffle=True, drop_last=not whole, collate_fn=collate
            )

    return NormalImagesModule()


@contextmanager
def quiet_library() -> Iterator[None]:
    """Errors alone, of libraries that log much."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
