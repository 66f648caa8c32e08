"""The range of a volume that becomes [0, 1]: percentiles of its foreground, fast enough not to hold up the reading."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["foreground_percentiles", "scale_to_unit"]

LEVELS = 65536


def foreground_percentiles(array: NDArray[Any], lower: float, upper: float) -> tuple[float, float]:
    """Two percentiles of the voxels above the volume's minimum, to 1/65535 of its range.

    Args:
        array: (X, Y, Z), any unit.
        lower: percentile, in [0, 100).
        upper: percentile, in (``lower``, 100].

    Raises:
        ValueError: when voxels are NaN or infinite, or all are equal.

    Example:
        >>> low, high = foreground_percentiles(np.arange(101.0).reshape(101, 1, 1), 0, 100)
        >>> round(low, 3), round(high, 3)
        (1.0, 100.0)
    """
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        raise ValueError(f"expected finite voxels that vary, got {low:g} to {high:g}.")
    flat = array.ravel(order="K").astype(np.float32)
    flat -= np.float32(low)
    flat *= np.float32((LEVELS - 1) / (high - low))
    levels = flat.astype(np.uint16)
    counts = cv2.calcHist([levels.reshape(1, -1)], [0], None, [LEVELS], [0, LEVELS]).ravel().astype(np.int64)
    counts[0] = 0  # background: the minimum, and round-off above it
    ends = np.cumsum(counts)
    first, last = (int(np.searchsorted(ends, max(1.0, ends[-1] * percent / 100))) for percent in (lower, upper))
    step = (high - low) / (LEVELS - 1)
    return low + first * step, low + last * step


def scale_to_unit(plane: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """``low`` to 0 and ``high`` to 1, clipped; float32."""
    scaled = (plane.astype(np.float32) - np.float32(low)) * np.float32(1 / (high - low))
    return scaled.clip(0, 1, out=scaled)
