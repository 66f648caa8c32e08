"""Matplotlib's colours "bone", in which BMAD's script saves the slices of BraTS2021 (`imsave(..., cmap="bone")`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bone(unit: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours of a slice.

    Args:
        unit: (H, W), float in [0, 1], which 256 steps are taken of.

    Returns:
        (H, W, 4): red, green, blue and opacity 255, uint8.

    Example:
        >>> bone(np.array([[0.0, 0.5, 1.0]]))[0].tolist()
        [[0, 0, 0, 255], [112, 123, 143, 255], [255, 255, 255, 255]]
    """
    import matplotlib  # noqa: PLC0415 (it takes longer than all else, and one variant of one recipe needs it)

    return np.asarray(matplotlib.colormaps["bone"](np.asarray(unit, dtype=np.float64), bytes=True), dtype=np.uint8)
