"""Slices from NPY files, which are never unpickled, and the empty mask of a normal image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from os import PathLike
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import NumpyReader
from monai.transforms import LoadImage, MapTransform, Transform

from qfae_monai.transforms.images import as_lesion
from qfae_monai.transforms.volume_check import source_name

__all__ = ["LoadArray", "LoadArrayd", "NormalLabeld"]


class LoadArray(Transform):
    """Load an .npy file with MONAI's reader, a channel first."""

    def __init__(self) -> None:
        reader = NumpyReader()
        self.loader = LoadImage(reader=reader, ensure_channel_first=True)
        self.loader.readers = [reader]  # the default ones behind it would try what it refuses

    def __call__(self, path: str | PathLike) -> torch.Tensor:
        """
        Args:
            path: file of one array (H, W).

        Returns:
            (1, H, W), float32.

        Raises:
            ValueError: when the file is damaged or holds objects; they are never unpickled.
        """
        try:
            return self.loader(path)
        except Exception as error:  # numpy's own text says how to unpickle it nevertheless
            cause = type(error.__cause__ or error).__name__
            raise ValueError(
                f"{path}: expected an array of numbers, got a file that is damaged or holds something else ({cause})"
            ) from None


class LoadArrayd(MapTransform):
    """Dictionary twin of `LoadArray`.

    Args:
        keys: of the image, then of masks, which become 0 and 1.
        allow_missing_keys: whether they may be absent.
    """

    def __init__(self, keys: KeysCollection = ("image", "label"), allow_missing_keys: bool = True) -> None:
        super().__init__(keys, allow_missing_keys)
        self.loader = LoadArray()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            array = self.loader(d[key])
            d[key] = array if key == self.keys[0] else as_lesion(array, str(d[key]))
        return d


# Mask of a normal image, which nobody has to draw: 0 everywhere.


class NormalLabeld(MapTransform):
    """Give a sample that is marked normal (`image_label` 0) and has no mask one of zeros.

    A mask must have its image's size: resizing both to one would hide that it belongs to another. It gives a sample
    that lacks `image_label` one, before resizing, in which a small lesion may be lost. All others pass as they are.

    Args:
        keys: key of the mask.
        image_key: key of the loaded image, whose shape and affine the mask takes.
        image_label_key: key of the sample's label: 1 abnormal, 0 normal.

    Raises:
        ValueError: for a mask of another size, naming both files.

    Example:
        >>> NormalLabeld()({"image": torch.ones(1, 2, 2), "image_label": 0})["label"].sum()
        tensor(0.)
    """

    def __init__(self, keys: str = "label", image_key: str = "image", image_label_key: str = "image_label") -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.image_label_key = image_label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        image = d[self.image_key]
        for key in self.keys:
            if key in d:
                self._check_size(d[key], image)
                if d.get(self.image_label_key) is None:
                    d[self.image_label_key] = int((d[key] > 0).any())
            elif d.get(self.image_label_key) == 0:
                d[key] = torch.zeros_like(image, dtype=torch.float32)
        return d

    @staticmethod
    def _check_size(mask: torch.Tensor, image: torch.Tensor) -> None:
        if mask.shape[1:] != image.shape[1:]:
            raise ValueError(
                f"label {source_name(mask)} and image {source_name(image)}: expected one size, got "
                f"{tuple(mask.shape[1:])} and {tuple(image.shape[1:])}"
            )
