"""The range of a volume that becomes [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["scale_to_unit"]


def scale_to_unit(plane: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """``low`` to 0 and ``high`` to 1, clipped; float32."""
    scaled = plane.astype(np.float32)
    scaled -= np.float32(low)
    scaled *= np.float32(1 / (high - low))
    return scaled.clip(0, 1, out=scaled)
