"""Volumes and images that no model can be trained on or score: one slice, not finite, or one value in all of it."""

from __future__ import annotations

import numpy as np

__all__ = ["ONE_SLICE", "check_voxels"]

ONE_SLICE = (
    "expected a volume of several slices, got one slice; a single image is scored as PNG, JPEG, BMP or TIFF, or as "
    "radiograph in DICOM, by a model that was trained on images"
)


def check_voxels(array: np.ndarray, name: object, *, picture: bool = False) -> None:
    """Refuse what cannot be used, in the same words at every entrance.

    Args:
        array: (X, Y, Z), or (rows, columns) of an image.
        name: of its file, for the message.
        picture: whether it is a single image.

    Raises:
        ValueError: when a volume has one slice only, a voxel is not finite, or all are equal.

    Example:
        >>> check_voxels(np.zeros((2, 2, 2)), "a.nii")
        Traceback (most recent call last):
        ValueError: a.nii: expected an image, got 0 in every voxel
    """
    what = "pixel" if picture else "voxel"
    if not picture and min(array.shape) == 1:
        raise ValueError(f"{name}: {ONE_SLICE}")
    if array.dtype.kind == "f" and (bad := int((~np.isfinite(array)).sum())):
        raise ValueError(f"{name}: expected finite {what}s, got {bad} of {array.size} NaN or infinite")
    if array.min() == array.max():
        raise ValueError(f"{name}: expected an image, got {float(array.min()):g} in every {what}")
