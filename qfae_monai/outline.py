"""The outline of a mask on a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

OUTLINE = (86, 200, 255)  # RGB: light blue, which no colour-blind reader takes for grey


def draw_outline(picture: NDArray, mask: NDArray, colour: tuple[int, int, int] = OUTLINE) -> NDArray:
    """A picture (H, W, 3) with the edges of a mask (H, W), holes among them, drawn into it; above 0 is inside."""
    contours, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(picture, contours, -1, colour, 1))
