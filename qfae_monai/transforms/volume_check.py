"""Refusal of volumes that would be silently wrong: not 3D, not finite, constant, or off their image's grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import ImageMetaKey, convert_to_tensor

from qfae_monai.reading.voxel_check import check_voxels

__all__ = ["CheckVolume", "CheckVolumed", "source_name"]

AFFINE_TOLERANCE = 1e-3  # mm: header round-off is far below it, a wrong grid far above


def source_name(img: Any) -> str:
    """Name of the file that an image was read from, for messages.

    Example:
        >>> source_name(torch.zeros(1, 2, 2))
        'image of unknown file'
    """
    if isinstance(img, MetaTensor) and ImageMetaKey.FILENAME_OR_OBJ in img.meta:
        return str(img.meta[ImageMetaKey.FILENAME_OR_OBJ])
    return "image of unknown file"


class CheckVolume(Transform):
    """Pass on a volume unchanged, or refuse it with an error that names its file."""

    def __call__(self, img: torch.Tensor, reference: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            img: (1, X, Y, Z), any intensity unit; a label map when `reference` is given.
            reference: (1, X, Y, Z), the image that a label map belongs to. A label map may be constant: no lesion.

        Returns:
            `img` itself.

        Raises:
            ValueError: when `img` is not one channel of three spatial dimensions, has NaN or infinite voxels, is a
                constant image or one slice, or differs from `reference` in shape or (by more than 1e-3 mm) in affine.
        """
        self._check_dimensions(img)
        if reference is None:
            check_voxels(convert_to_tensor(img, track_meta=False)[0].cpu().numpy(), source_name(img))
            return img
        bad = int((~torch.isfinite(img)).sum())
        if bad:
            raise ValueError(f"{source_name(img)}: expected finite voxels, got {bad} of {img.numel()} NaN or infinite")
        self._check_grid(img, reference)
        return img

    @staticmethod
    def _check_dimensions(img: torch.Tensor) -> None:
        if img.ndim != 4 or img.shape[0] != 1 or 0 in img.shape:
            raise ValueError(
                f"{source_name(img)}: expected one channel and three spatial dimensions (1, X, Y, Z), "
                f"got shape {tuple(img.shape)}"
            )

    @staticmethod
    def _check_grid(label: torch.Tensor, image: torch.Tensor) -> None:
        names = f"label {source_name(label)} and image {source_name(image)}"
        if label.shape != image.shape:
            raise ValueError(f"{names}: expected one shape, got {tuple(label.shape)} and {tuple(image.shape)}")
        if not (isinstance(label, MetaTensor) and isinstance(image, MetaTensor)):
            return
        # form codes may differ between two files of one grid; the affine that results from them may not
        off = float((label.affine.double() - image.affine.double()).abs().max())
        if not off <= AFFINE_TOLERANCE:
            raise ValueError(
                f"{names}: expected affines within {AFFINE_TOLERANCE} mm, got a difference of {off:g}: "
                f"{label.affine.tolist()} and {image.affine.tolist()}"
            )


class CheckVolumed(MapTransform):
    """Dictionary twin of `CheckVolume`, for training, evaluation and inference alike.

    Args:
        keys: the image's key, then keys of label maps on its grid.
        allow_missing_keys: whether label maps may be absent; the image never may.
    """

    def __init__(self, keys: KeysCollection = ("image", "label"), allow_missing_keys: bool = True) -> None:
        super().__init__(keys, allow_missing_keys)
        self.checker = CheckVolume()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        image_key = self.keys[0]
        if image_key not in d:
            raise KeyError(f"expected a volume under the key {image_key!r}, got the keys {sorted(map(str, d))}")
        for key in self.key_iterator(d):
            d[key] = self.checker(d[key], reference=None if key == image_key else d[image_key])
        return d
