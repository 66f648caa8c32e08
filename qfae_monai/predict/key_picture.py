"""The picture of a key image: a slice in grey, the anomaly map in colour over it, the mask outlined, and a warning."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from qfae_monai.outline import draw_outline

__all__ = ["BANNER", "key_picture"]

BANNER = "RESEARCH USE - NOT FOR DIAGNOSIS"
LONGER_SIDE = 768  # pixels of the slice
LEAST_WIDTH = 512  # pixels, so that the banner can be read
STRIP = 40  # pixels above and below the slice, for the text: it covers no anatomy
OPACITY = 0.6  # of the colour where the map is highest
TEXT = (255, 255, 255)


def key_picture(
    grey: np.ndarray, heat: np.ndarray, mask: np.ndarray | None, *, spacing: Sequence[float], caption: str
) -> tuple[np.ndarray, float]:
    """A picture with square pixels, turned as the slice is stored.

    Args:
        grey: (rows, columns) in [0, 1].
        heat: (rows, columns) in [0, 1], anomaly.
        mask: (rows, columns) boolean; None where there is no threshold.
        spacing: between rows, between columns, mm.
        caption: the line below the slice.

    Returns:
        (rows, columns, 3) uint8 RGB, and the size of its pixels in mm.
    """
    heights = np.array(grey.shape) * np.asarray(spacing, dtype=float)
    pixel = float(heights.max()) / LONGER_SIDE
    height, width = (max(1, round(length / pixel)) for length in heights)
    shown = cv2.resize(grey.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    weight = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    colours = cv2.applyColorMap((weight * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    picture = shown[..., None] * 255 * (1 - OPACITY * weight) + colours * OPACITY * weight
    canvas = np.ascontiguousarray(picture.round().clip(0, 255).astype(np.uint8))
    if mask is not None:
        large = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        draw_outline(canvas, large)
    return _framed(canvas, caption), pixel


def _framed(picture: np.ndarray, caption: str) -> np.ndarray:
    """The picture between two black strips of text."""
    missing = max(0, LEAST_WIDTH - picture.shape[1])
    framed = np.pad(picture, ((STRIP, STRIP), (missing // 2, missing - missing // 2), (0, 0)))
    for line, baseline in ((BANNER, STRIP - 12), (caption, framed.shape[0] - 12)):
        _write(framed, line, baseline)
    return framed


def _write(picture: np.ndarray, line: str, baseline: int) -> None:
    """One line in the middle, as large as fits."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (length, _), _ = cv2.getTextSize(line, font, 1.0, 2)
    scale = min(0.8, 0.95 * picture.shape[1] / length)
    left = round((picture.shape[1] - length * scale) / 2)
    cv2.putText(picture, line, (left, baseline), font, scale, TEXT, 2 if scale > 0.6 else 1, cv2.LINE_AA)
