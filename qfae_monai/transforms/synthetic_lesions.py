"""Lesions painted into normal images: blobs, haze, other texture, displaced tissue; to choose a score without patients.

After CutPaste (Li et al. 2021), foreign patches (Tan et al. 2020) and DRAEM (Zavrtanik et al. 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

__all__ = ["KINDS", "SIZES", "PaintedLesion", "SyntheticLesions"]

Image = NDArray[np.float32]
Draw = np.random.Generator

SIZES = (0.05, 0.12, 0.3, 0.5)
"""Shares of the body's pixels that lesions cover: from a small tumour to both lungs."""
EDGE = 0.15  # of a lesion's radius, over which it fades out
LEAST_BODY = 0.02  # share of an image's pixels below which there is no body to paint into
LEAST_CHANGE = 0.02  # mean change inside of a lesion, in [0, 1], below which nobody would see it
TRIES = 5  # draws of a lesion that changes something


class PaintedLesion(NamedTuple):
    """An image with a lesion in it.

    Attributes:
        image: (H, W) in [0, 1].
        mask: (H, W) boolean, True is lesion.
    """

    image: Image
    mask: NDArray[np.bool_]


class SyntheticLesions:
    """Paint one lesion of a wanted kind and size into a normal image, inside of the body.

    Args:
        level: grey in [0, 1] above which a pixel is body.
        seed: of all draws; the same image with the same number gets the same lesion.

    Example:
        >>> image = np.full((32, 32), 0.5, np.float32)
        >>> found = SyntheticLesions()(image, image, kind="bright", share=0.1, number=0)
        >>> 0.05 < float(found.mask.mean()) < 0.15, bool(found.image[found.mask].mean() > 0.5)
        (True, True)
    """

    def __init__(self, level: float = 0.01, seed: int = 0) -> None:
        self.level, self.seed = level, seed

    def __call__(self, image: Image, other: Image, *, kind: str, share: float, number: int) -> PaintedLesion | None:
        """Paint a lesion.

        Args:
            image: (H, W) in [0, 1], normal.
            other: (H, W) in [0, 1], another normal image, from which displaced tissue is taken.
            kind: one of `KINDS`.
            share: of the body's pixels that the lesion covers, about.
            number: of the draw.

        Returns:
            None where the image has no body to paint into, or no draw changes anything that could be seen.

        Raises:
            ValueError: for an unknown kind, or a share that is not in (0, 1).
        """
        if kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
        if not 0 < share < 1:
            raise ValueError(f"share: expected a number in (0, 1), got {share}")
        body = image > self.level  # (H, W)
        if body.mean() < LEAST_BODY:
            return None
        draw = np.random.default_rng([self.seed, number])
        for _ in range(TRIES):
            weight = _shape(body, share, draw)  # (H, W) in [0, 1], 1 inside
            painted = image + weight * (KINDS[kind](image, other, body, draw) - image)
            found = PaintedLesion(painted.clip(0, 1).astype(np.float32), (weight > 0.5) & body)
            if found.mask.any() and np.abs(found.image - image)[found.mask].mean() >= LEAST_CHANGE:
                return found
        return None


def _shape(body: NDArray[np.bool_], share: float, draw: Draw) -> Image:
    """Soft outline of a lesion: an ellipse with a wavy edge around a pixel of the body, (H, W) in [0, 1]."""
    rows, columns = np.nonzero(body)
    middle = int(draw.integers(len(rows)))
    radius = max(1.0, math.sqrt(share * len(rows) / math.pi))  # pixels
    stretch, angle = draw.uniform(1, 2), draw.uniform(0, math.pi)
    y, x = np.mgrid[: body.shape[0], : body.shape[1]]
    y, x = y - rows[middle], x - columns[middle]
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    distance = np.hypot(along / math.sqrt(stretch), across * math.sqrt(stretch)) / radius  # 1 at the edge
    distance = distance + 0.3 * _waves(body.shape, draw)
    # a lesion at the rim of the body goes on inside of it only
    return (np.clip((1 - distance) / EDGE, -0.5, 0.5) + 0.5).astype(np.float32) * body


def _waves(shape: tuple[int, ...], draw: Draw, points: int = 6) -> Image:
    """Smooth noise with a deviation of about 1, (H, W)."""
    coarse = draw.normal(size=(points, points))
    return zoom(coarse, [side / points for side in shape], order=3, mode="nearest", grid_mode=True)


def _spread(image: Image, body: NDArray[np.bool_]) -> float:
    """Difference in grey that stands out in the body: its standard deviation, but not less than 0.05."""
    return max(0.05, float(image[body].std()))


def _bright(image: Image, other: Image, body: NDArray[np.bool_], draw: Draw) -> Image:
    return image + draw.uniform(0.3, 1.2) * _spread(image, body)


def _dark(image: Image, other: Image, body: NDArray[np.bool_], draw: Draw) -> Image:
    return image - draw.uniform(0.3, 1.2) * _spread(image, body)


def _haze(image: Image, other: Image, body: NDArray[np.bool_], draw: Draw) -> Image:
    """Less contrast towards a bright grey, and clouds: as an opacity of the lung, an oedema."""
    target = min(1.0, float(np.quantile(image[body], draw.uniform(0.6, 0.95))))
    clouds = 0.3 * _spread(image, body) * _waves(image.shape, draw, points=12)
    return image + draw.uniform(0.4, 0.8) * (target - image) + clouds


def _blurred(image: Image, other: Image, body: NDArray[np.bool_], draw: Draw) -> Image:
    """The same grey without its texture."""
    return gaussian_filter(image, image.shape[0] * draw.uniform(0.03, 0.08))


def _coarse(image: Image, other: Image, body: NDArray[np.bool_], draw: Draw) -> Image:
    """Another texture: grains of a random size."""
    grains = gaussian_filter(draw.normal(size=image.shape), draw.uniform(0.5, 3.0))
    return image + draw.uniform(0.2, 0.8) * _spread(image, body) * grains / grains.std()


def _displaced(image: Image, other: Image, body: NDArray[np.bool_], draw: Draw) -> Image:
    """Tissue of another image from another place: anatomy where it does not belong."""
    side = image.shape[0]
    shift = draw.integers(side // 6, side - side // 6, size=2)
    turned = np.rot90(other, int(draw.integers(4))) if other.shape[0] == other.shape[1] else other
    return np.roll(turned, tuple(int(one) for one in shift), axis=(0, 1))


KINDS: dict[str, Callable[[Image, Image, NDArray[np.bool_], Draw], Image]] = {
    "bright": _bright,
    "dark": _dark,
    "haze": _haze,
    "blurred": _blurred,
    "coarse": _coarse,
    "displaced": _displaced,
}
"""Kind of lesion -> image (H, W), another image, body and draw to what stands inside of its outline."""
