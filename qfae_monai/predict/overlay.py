"""The overlay of a study: the slices a reader would ask for, and the same ones under the colours of the anomaly map."""

from __future__ import annotations

from io import BytesIO

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from qfae_monai.evaluation.pictures import (
    BRIGHTEST,
    MAP_COLOURS,
    as_seen,
    fit,
    pixel_shape,
    window,
)
from qfae_monai.outline import draw_outline
from qfae_monai.predict.prediction import Prediction

TILE = 224  # pixels of a slice's longer side
CAPTION = 16  # pixels
STRONGEST = 0.7  # opacity of the map where it is at its limit
NOTICE = "research use, not for diagnosis"


def overlay_png(found: Prediction, threshold: float | None) -> bytes:
    """PNG of two rows, slices and slices under the map, the mask outlined; the patient's right is on the left.

    Args:
        found: what a model found.
        threshold: map value above which a voxel is outlined; None for no outline. Three times as much gets the
            strongest colour at least, so that a normal study stays dark.
    """
    image, heat = (as_seen(part, found.axis) for part in (found.shown.image, found.shown.anomaly_map))  # (n, h, w)
    shape = pixel_shape(found.shown.spacing, found.axis, found.shown.image.ndim)
    low, high = found.shown.darkest, float(np.percentile(image, BRIGHTEST))  # one window for all tiles
    limit = max(float(np.percentile(heat, BRIGHTEST)), 3 * (threshold or 0.0))
    canvas = Image.new("RGB", (TILE * len(image), 2 * TILE + 2 * CAPTION))
    draw = ImageDraw.Draw(canvas)
    for place, index in enumerate(found.shown.numbers):
        grey = fit(window(image[place], low, high), TILE, shape)
        under = _coloured(grey, fit(window(heat[place], 0.0, limit), TILE, shape))
        if threshold is not None:
            # 0.5: where most of a pixel's area is above
            draw_outline(under, fit((heat[place] > threshold).astype(np.float32), TILE, shape) > 0.5)
        for row, pixels in enumerate((np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, -1), under)):
            canvas.paste(Image.fromarray(pixels), (place * TILE, CAPTION + row * TILE))
        score = found.slice_scores[index]
        text = f"slice {index}  " + ("not scored" if np.isnan(score) else f"score {score:.4g}")
        draw.text((place * TILE + 4, 2), text, fill=(200, 200, 200))
    draw.text((4, 2 * TILE + CAPTION + 2), NOTICE, fill=(200, 200, 200))
    stream = BytesIO()
    canvas.save(stream, "PNG", compress_level=3)  # of 9: noise does not shrink further, and takes twice as long
    return stream.getvalue()


def _coloured(grey: NDArray, heat: NDArray) -> NDArray[np.uint8]:
    """(H, W) and (H, W) in [0, 1] -> (H, W, 3); where the map is low, the slice is seen as it is."""
    opacity = (STRONGEST * heat)[..., None]  # (H, W, 1)
    colours = matplotlib.colormaps[MAP_COLOURS](heat)[..., :3]  # without alpha, (H, W, 3)
    return np.rint(255 * ((1 - opacity) * grey[..., None] + opacity * colours)).astype(np.uint8)
