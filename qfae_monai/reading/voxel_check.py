"""Volumes and images that no model can be trained on or score: one slice, not finite, or one value in all of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qfae_monai.reading.background import background_of, evenly_taken

__all__ = ["ONE_SLICE", "check_voxels", "outlying_voxels", "voxels_below_background"]

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


# Signs of defects in voxel values: a few far outside of all others, or some below the background.
# A defect of one detector pixel or byte makes everything else one grey; an interpolation that overshoots makes what
# is darkest no background.

TIMES = 1000  # share of the range that the other voxels keep to, as a divisor
PER_FOREGROUND = 1000  # one voxel in so many may be an outlier: those behind the 99.9th percentile
OTHERS = 10  # voxels of the foreground for each outlier, at least: fewer are a mask with few voxels
BLOCK = 1 << 20  # voxels counted at a time


def outlying_voxels(array: NDArray) -> str | None:
    """A sentence on voxels beyond 1,000 times the 99.9th percentile of the foreground; None where there are none.

    Both ends of the range are looked at, each measured from the other: foreground are the voxels that are not at the
    other end. Nothing is sorted, and counting stops as soon as there are too many for outliers.

    Example:
        >>> volume = np.arange(1000).reshape(10, 10, 10)
        >>> volume[4, 5, 6] = 9_990_000
        >>> outlying_voxels(volume)
        'outlying-voxels: 1 of 1000 voxels lie up to 9990000, the others below 9990'
    """
    if array.dtype.kind not in "iuf" or not array.size:
        return None
    low, high = array.min().item(), array.max().item()
    if not np.isfinite(float(high) - float(low)) or low == high:
        return None
    step = (high - low) / TIMES if array.dtype.kind == "f" else (high - low) // TIMES
    flat = array.ravel(order="K")
    for end, bound, side, word in ((high, low + step, low, "below"), (low, high - step, high, "above")):
        far = _count(flat, bound, upwards=end == high)
        others = int(np.count_nonzero(flat != side)) if far else 0
        if 0 < far * OTHERS <= others and far <= max(1, others // PER_FOREGROUND):
            return f"outlying-voxels: {far} of {flat.size} voxels lie up to {end:.10g}, the others {word} {bound:.10g}"
    return None


def voxels_below_background(array: NDArray) -> str | None:
    """A sentence on voxels below the background of the volume; None where the background is the least of all.

    Example:
        >>> volume = np.zeros((10, 10, 10))
        >>> volume[4:6], volume[3, 0] = np.arange(100, 300).reshape(2, 10, 10), -7
        >>> voxels_below_background(volume)
        'below-background: the background is zero; 1.0 % of the voxels lie below it, down to -7'
    """
    if array.dtype.kind not in "iuf" or not array.size:
        return None
    taken = evenly_taken(array)
    if not np.isfinite(float(taken.max()) - float(taken.min())):
        return None
    background = background_of(taken)
    return f"below-background: the background is {background}" if background.share_below else None


def _count(flat: NDArray, bound: float, *, upwards: bool) -> int:
    """Voxels beyond a bound; 0 where they are more than outliers may be."""
    most, count = max(1, flat.size // PER_FOREGROUND), 0
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        count += int(np.count_nonzero(block > bound if upwards else block < bound))
        if count > most:
            return 0
    return count
