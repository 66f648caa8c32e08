"""Percentiles of the foreground: the one definition for tensors and arrays, in training and preparation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.reading.background import Background, background_of

__all__ = ["foreground_percentiles", "percentiles"]


def percentiles(values: NDArray[Any], lower: float, upper: float) -> tuple[float, float]:
    """Two percentiles of all values, interpolated between neighbours in rank as ``numpy.percentile`` does."""
    first, last = np.percentile(values, (lower, upper))
    return float(first), float(last)


def foreground_percentiles(
    array: NDArray[Any], lower: float, upper: float, *, background: Background | None = None
) -> tuple[float, float]:
    """Two percentiles of the foreground; every voxel counts.

    Args:
        array: (X, Y, Z), any unit.
        lower: percentile, in [0, 100).
        upper: percentile, in (``lower``, 100].
        background: of the array, where it is known already.

    Raises:
        ValueError: when the percentiles are not in that order, voxels are NaN or infinite, or all are equal.

    Example:
        >>> foreground_percentiles(np.arange(101.0).reshape(101, 1, 1), 0, 100)
        (1.0, 100.0)
    """
    if not 0 <= lower < upper <= 100:
        raise ValueError(f"expected percentiles 0 <= lower < upper <= 100, got {lower} and {upper}.")
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        raise ValueError(f"expected finite voxels that vary, got {low:g} to {high:g}.")
    flat = array.ravel(order="K")
    return percentiles(flat[(background or background_of(flat)).foreground(flat)], lower, upper)
