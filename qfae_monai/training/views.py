"""Kept views: frozen features of augmented views of training images, in a folder, to train from in place of images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import Dataset

from qfae_monai.anomaly.perceptual import Target

PART = 32
"""Images whose features are one file, and are drawn in one pass of the networks."""
OPENED = 4096  # files that a process keeps mapped
STATES, FEATURES, FOREGROUND, IMAGE = "states", "features", "foreground", "image"

Kept = dict[str, Tensor]
"""What is kept of B views: `states0`, ... (B, T, D), one for each encoder; `features0`, ... (B, blocks, N, D) of the
target, one for each patch size; `foreground` (B, 1, H, W), boolean, where the loss weighs it; and the `image`
(B, 1, H, W) in their place, where tokens are decoded."""


class KeptViews(Dataset[Kept]):
    """Frozen features of several augmented views of each image of a data set.

    An item is asked for by image and view. A view of `PART` images is one file, complete or absent, mapped into memory
    by all processes that read it. `draw_views` writes those that are not there.

    Args:
        source: the images, as they are trained on otherwise.
        views: kept of each image.
        folder: made when the first view is drawn. Views of other images, networks or settings lie side by side in it.
        dtype: number format of the features.

    Raises:
        ValueError: when `views` is no whole number from 1.
    """

    def __init__(self, source: Any, views: int, folder: str | PathLike, *, dtype: torch.dtype = torch.bfloat16) -> None:
        if not isinstance(views, int) or isinstance(views, bool) or views < 1:
            raise ValueError(f"views: expected null or a whole number from 1, got {views!r}")
        self.source, self.views, self.dtype = source, views, dtype
        self.folder = Path(folder).absolute()
        self.images = len(source)
        self.key = ""  # of these views in the folder, set by `draw_views`

    def __len__(self) -> int:
        """Number of images, each of which an epoch meets once."""
        return self.images

    def __getitem__(self, which: tuple[int, int]) -> Kept:
        """Features of (image, view), copies without the batch's dimension."""
        image, view = which
        part, row = divmod(image, PART)
        return {name: values[row].clone() for name, values in _opened(self.path(view, part)).items()}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "source": None}  # workers read features alone

    @property
    def parts(self) -> int:
        """Number of files of one view."""
        return math.ceil(self.images / PART)

    def rows(self, part: int) -> range:
        """Images of a part."""
        return range(part * PART, min((part + 1) * PART, self.images))

    def path(self, view: int, part: int) -> Path:
        """File of a part of a view, whether it is there or not."""
        return self.folder / self.key / f"{view:03d}-{part:05d}.safetensors"

    def missing(self) -> Iterator[tuple[int, int]]:
        """View and part of each file that is not there, or is not whole."""
        for part in range(self.parts):
            for view in range(self.views):
                if not _is_whole(self.path(view, part), len(self.rows(part))):
                    yield view, part


def kept_views(dataset: Any, views: int | None, folder: str | PathLike) -> Any:
    """A data set of the kept views of another, or without `views` that data set itself; arguments as in `KeptViews`."""
    return KeptViews(dataset, views, folder) if views or isinstance(views, bool) else dataset


def packed(states: list[Tensor], target: Target | Tensor, dtype: torch.dtype) -> Kept:
    """What the networks made of a batch, as it is kept."""
    kept = {f"{STATES}{number}": one.to(dtype) for number, one in enumerate(states)}
    if isinstance(target, Tensor):
        return {**kept, IMAGE: target.to(dtype)}
    # (B, blocks, N, D)
    kept |= {f"{FEATURES}{number}": torch.stack(one, dim=1).to(dtype) for number, one in enumerate(target.features)}
    return kept if target.foreground is None else {**kept, FOREGROUND: target.foreground}


def unpacked(batch: Mapping[str, Tensor]) -> tuple[list[Tensor], Target | Tensor]:
    """A batch of kept views -> what the network and the loss take: states in float32, features as they were kept."""
    if IMAGE in batch:
        return [states.float() for states in _numbered(batch, STATES)], batch[IMAGE].float()
    features = [list(values.unbind(dim=1)) for values in _numbered(batch, FEATURES)]
    return [states.float() for states in _numbered(batch, STATES)], Target(features, batch.get(FOREGROUND))


def is_kept(batch: Mapping[str, Any]) -> bool:
    """Whether a batch holds kept views, and no images."""
    return f"{STATES}0" in batch


def _numbered(batch: Mapping[str, Tensor], name: str) -> Iterator[Tensor]:
    number = 0
    while f"{name}{number}" in batch:
        yield batch[f"{name}{number}"]
        number += 1


@lru_cache(maxsize=OPENED)
def _opened(path: Path) -> Kept:
    """Tensors whose values stay in the file, mapped."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)


def _is_whole(path: Path, images: int) -> bool:
    try:
        with safe_open(path, framework="pt") as file:  # which compares the file's length with its header
            return all(file.get_slice(name).get_shape()[0] == images for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return False
