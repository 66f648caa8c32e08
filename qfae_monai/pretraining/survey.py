"""Survey of a pretraining's data: every image is read once, before the first step."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Any, cast

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch.utils.data import Dataset

from qfae_monai.data.fingerprint import source_fingerprint

SIZE_KEY = "read_size"
ASPECT_TOLERANCE = 0.05
"""Aspect ratios that differ by more, relatively, are worth a word: images are stretched to a square."""

logger = logging.getLogger(__name__)


class CheckImaged(MapTransform):
    """Refuse a constant image or one that is not finite, and note its size, "rows x columns", under `read_size`.

    Args:
        keys: the image's key.

    Raises:
        ValueError: naming case and slice.
    """

    def __init__(self, keys: KeysCollection = "image") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            image = torch.as_tensor(d[key])
            low, high = float(image.min()), float(image.max())
            if not low < high or not bool(torch.isfinite(image).all()):
                raise ValueError(
                    f"{image_name(d)}: expected an image of finite, differing pixels, got {low:g} to {high:g}"
                )
            d[SIZE_KEY] = " x ".join(map(str, image.shape[-2:]))
        return d


def image_name(item: Mapping[Hashable, Any]) -> str:
    """Case and, of a volume, slice."""
    name = str(item.get("case", "an image"))
    return f"{name}, slice {item['slice_index']}" if "slice_index" in item else name


@dataclass(frozen=True)
class Survey:
    """Of a training set.

    Attributes:
        images: how many.
        sha256: of the content of the files that they come from, whatever their order, names and places.
        sizes: number of images by size as read.
    """

    images: int
    sha256: str
    sizes: Mapping[str, int]


def survey_data(dataset: Dataset, entries: Iterable[Mapping[str, Any]]) -> Survey:
    """Go through a training set once.

    Args:
        dataset: what is trained on, behind a `CheckImaged`.
        entries: of the data list that it was made of.

    Raises:
        ValueError: if an image is constant or not finite; the message names it.
    """
    count = len(cast(Sized, dataset))
    sizes = Counter(cast(Mapping[str, str], dataset[index])[SIZE_KEY] for index in range(count))
    _warn_of_sizes(sizes)
    parts = sorted(source_fingerprint(entry) for entry in entries)
    return Survey(count, hashlib.sha256("\n".join(parts).encode()).hexdigest(), dict(sorted(sizes.items())))


def _warn_of_sizes(sizes: Mapping[str, int]) -> None:
    ratios = {name: float(rows) / float(columns) for name in sizes for rows, columns in [name.split(" x ")]}
    if max(ratios.values()) > min(ratios.values()) * (1 + ASPECT_TOLERANCE):
        listed = ", ".join(f"{count} of {name}" for name, count in sizes.items())
        logger.warning("expected images of one aspect ratio, got %s pixels: each is stretched to the same square, so "
                       "that anatomy is seen in several proportions; crop or pad them alike first", listed)  # fmt: skip
