"""Voxels that no model can be trained on or score: not finite, or one value in all of them."""

from __future__ import annotations

import numpy as np

__all__ = ["check_voxels"]


def check_voxels(array: np.ndarray, name: object) -> None:
    """Refuse a volume as `qfae_monai.transforms.CheckVolume` does, in the same words.

    Args:
        array: (X, Y, Z).
        name: of its file, for the message.

    Raises:
        ValueError: when a voxel is not finite, or all are equal.
    """
    if array.dtype.kind == "f" and (bad := int((~np.isfinite(array)).sum())):
        raise ValueError(f"{name}: expected finite voxels, got {bad} of {array.size} NaN or infinite.")
    if array.min() == array.max():
        raise ValueError(f"{name}: expected an image, got {float(array.min()):g} in every voxel.")
