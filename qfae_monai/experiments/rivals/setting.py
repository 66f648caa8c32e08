"""What all rivals of one comparison share: configurations and data of a trained model, or of the plan of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from monai.utils import ensure_tuple
from torch import Tensor

from qfae_monai.files import read_object
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import LOCAL, MANIFEST, TRAINING, ModelFolder
from qfae_monai.model.runs import DATALIST, Data
from qfae_monai.model.training import Say, Training, Wishes
from qfae_monai.model.trust import check_model_trusted
from qfae_monai.networks.grey import MEAN, STD, luminance
from qfae_monai.reading.quiet_libraries import quiet_libraries

ALL_IMAGES = 10**9  # more than any training has


@dataclass(frozen=True)
class Setting:
    """The same scans, splits and slices for everyone.

    Attributes:
        files: configurations that train the model, in order.
        settings: values by key, for all of them.
        model: folder of the trained model; None where there is only a plan of one.
    """

    files: list[Path]
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: Path | None = None

    def bundle(self, *overlays: str, **settings: Any) -> Bundle:
        """The configurations with overlays of the package on top."""
        return Bundle([*self.files, *overlays], {**self.settings, **settings})

    def normal_images(self) -> Tensor:
        """All training images as the model sees them, without augmentation: (N, 1, S, S) in [0, 1].

        Raises:
            ValueError: if the training section has none.
        """
        bundle = self.bundle(reference_images=ALL_IMAGES, reference_volumes=None)
        with quiet_libraries():  # the training of the model said what there is to say
            images: Tensor = bundle.part("normal_images").images
        return (luminance(images) * STD + MEAN).clamp(0, 1)

    @property
    def image_size(self) -> int:
        """Side of the square that slices are resized to, pixels."""
        return int(self.bundle().plain("model")["image_size"])

    @property
    def epochs(self) -> int:
        """Times that the model sees, or saw, every image."""
        return int(self.bundle().plain("max_epochs"))

    @property
    def batch_size(self) -> int:
        """Images in a step of the model's training."""
        return int(self.bundle().plain("batch_size"))

    @property
    def device(self) -> torch.device:
        """Device that the configuration computes on."""
        found: torch.device = self.bundle().part("device")
        return found


def of_model(model: Path, data: Path, *, weights: Path | None = None, trusted: bool = False) -> Setting:
    """The setting of a trained model.

    Args:
        model: folder of it, with the record of its training.
        data: that it was trained on: a folder with `dataset.json`, or the scans that the model's own list names.
        weights: folder of the frozen networks that are not part of the model.
        trusted: what the user said of configurations that this package did not write.

    Raises:
        FileNotFoundError: if the model is not there, or neither place has a list of the splits.
        ValueError: if the model was trained on other scans, or its configuration would run code of others.
    """
    folder = ModelFolder.open(model).path.resolve()
    check_model_trusted(folder, TRAINING, trusted=trusted)
    settings = {"bundle_root": folder, "model_dir": folder, "dataset_dir": _listed(folder, data)}
    if weights is not None:
        settings["weights_dir"] = weights.resolve()
    return Setting([folder / TRAINING], {key: path_text(path) for key, path in settings.items()}, folder)


def planned(data: Data, output: Path, wishes: Wishes, *, train: bool, say: Say = lambda _: None) -> Setting:
    """The setting that `qfae train` plans for scans, trained or not.

    Args:
        data: scans, normal ones to learn from and labelled ones to test with.
        output: folder of the model.
        wishes: as in `Training`.
        train: whether the model takes part, and so is trained, unless that is done.
        say: called with sentences for the screen.

    Raises:
        ValueError: if there are no normal scans to learn from.
    """
    training = Training(data, output, wishes, say=say)
    if train:
        training.run()
    if (output / MANIFEST).is_file():
        return of_model(output, output / LOCAL, weights=wishes.weights[0] if wishes.weights else None, trusted=True)
    _, bundle = next(training.steps(training.plan()))  # the training, which is not run
    return Setting(bundle.files, bundle.settings)


def _listed(model: Path, data: Path) -> Path:
    """Folder whose `dataset.json` has the splits that the model was trained with."""
    own = model / LOCAL / DATALIST
    if (data / DATALIST).is_file() and not own.is_file():
        return data.resolve()
    if not own.is_file():
        raise FileNotFoundError(
            f"{own}: expected the splits of the model's training, or {DATALIST} in --data {data}, got neither"
        )
    if (data / DATALIST).resolve() == own.resolve():
        return own.parent
    entries = read_object(own, what="the data list of a training").get("training", [])
    first = Path(ensure_tuple(entries[0]["image"])[0]).resolve() if entries else own
    if data.resolve() not in first.parents:
        raise ValueError(f"--data {data}: expected the scans that {model} was trained on, which has {first}")
    return own.parent
