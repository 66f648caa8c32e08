"""Lesion values of a mask: classes, 0 and 255, -1 and 1; soft edges of JPEG or interpolation are cut at half."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

__all__ = ["lesion_of"]

FEW_CLASSES = 16  # whole numbers up to here are classes, whatever lies beside what
SOFT = 0.5  # share of the voxels between least and highest that lie between a lower and a higher neighbour
BRIGHT, PLATEAU = 0.1, 0.03  # of a soft mask's voxels above a tenth of its range, so many lie within a tenth of its top
END, RINGING = 0.2, 0.95  # of the range; of the voxels between, so many lie so near to least or highest ...
AREAS = 0.25  # ... and fewer of them are equal to all about them: what JPEG at usual qualities leaves of two values
SHOWN = 6  # values that a message names


def lesion_of(values: NDArray[Any], name: str) -> NDArray[np.bool_]:
    """True where a mask says lesion.

    Above 0 is lesion in masks of two values and in class maps. A mask with edges that are gradual, as JPEG, resizing
    and networks leave them, is cut at half of its range, with a warning that names the values found.

    Args:
        values: (X, Y, Z) or any other shape, as stored.
        name: of the file, for messages.

    Raises:
        ValueError: when values are not finite, when nothing says what is outside, or when it looks like an image.

    Example:
        >>> lesion_of(np.array([[0, 255, 0]]), "mask.png").tolist(), lesion_of(np.array([-1, 1]), "mask").tolist()
        ([[False, True, False]], [False, True])
    """
    if values.dtype == bool or not values.size:
        return values.astype(bool)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise ValueError(f"{name}: expected a mask of finite values, got NaN or infinite ones")
    between = (values != low) & (values != high)
    found = np.unique(np.concatenate([[low], values[between].astype(np.float64), [high]]))
    if len(found) > 2 and not _are_few_classes(found) and _is_soft(values, between):
        return _cut_at_half(values, found, name)
    if len(found) > 1 and not low <= 0 < high:
        raise ValueError(f"{name}: expected a mask with 0 (or -1) outside and more inside, got {_named(found)}")
    return values > 0


def _are_few_classes(found: NDArray[np.float64]) -> bool:
    return bool(found[-1] <= FEW_CLASSES and (found == np.rint(found)).all())


def _is_soft(values: NDArray[Any], between: NDArray[np.bool_]) -> bool:
    """Whether what is neither least nor highest lies on slopes: areas of a class lie beside others, but not between.

    Or rings about two values, above the lower and below the higher one, without areas of its own.
    """
    box = tuple(3 if length > 1 else 1 for length in values.shape)
    lower = minimum_filter(values, size=box, mode="nearest") < values
    higher = maximum_filter(values, size=box, mode="nearest") > values
    if float((lower & higher)[between].mean()) >= SOFT:
        return True
    low, high = float(values.min()), float(values.max())
    place = (values[between].astype(np.float64) - low) / (high - low)
    below, above = float((place < END).mean()), float((place > 1 - END).mean())
    areas = float((~lower & ~higher)[between].mean())
    return below > 0 and above > 0 and below + above >= RINGING and areas < AREAS


def _cut_at_half(values: NDArray[Any], found: NDArray[np.float64], name: str) -> NDArray[np.bool_]:
    low, high = found[0], found[-1]
    bright = values[values > low + BRIGHT * (high - low)]
    if (bright >= high - BRIGHT * (high - low)).mean() < PLATEAU:
        raise ValueError(f"{name}: expected a mask, whose lesions have one value, got an image of {_named(found)}")
    half = (low + high) / 2
    warnings.warn(
        f"{name}: expected a mask of two values or of classes, got edges of {_named(found)}, as JPEG and interpolation "
        f"leave them: {half:g} and more is taken as lesion.",
        stacklevel=4,
    )
    return values >= half


def _named(found: NDArray[np.float64]) -> str:
    if len(found) <= SHOWN:
        return f"the values {', '.join(f'{value:g}' for value in found)}"
    return f"{len(found)} values from {found[0]:g} to {found[-1]:g}"
