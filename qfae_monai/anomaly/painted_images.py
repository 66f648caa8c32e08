"""Held-out normal images with a synthetic lesion each, normalised: what a score or a network is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from qfae_monai.networks.grey import MEAN, STD, luminance
from qfae_monai.transforms.synthetic_lesions import KINDS, SIZES, SyntheticLesions

PAINTED = 240
"""Images with a synthetic lesion that are made: ten of each kind and size."""


class PaintedImages(NamedTuple):
    """Images with a lesion each.

    Attributes:
        images: (M, 1 or 3, H, W), normalised; M is at most `PAINTED`, and 0 where there is no body to paint into.
        rows: number of the normal image that each was made of.
        cells: kind and size of the lesion of each.
    """

    images: Tensor
    rows: Sequence[int]
    cells: Sequence[tuple[str, float]]


def paint_lesions(normal: Tensor, *, level: float, seed: int) -> PaintedImages:
    """Paint a lesion into normal images, in turn of all kinds and sizes.

    Args:
        normal: (N, 1 or 3, H, W), normalised.
        level: grey in [0, 1] above which a pixel is body.
        seed: of the lesions.
    """
    lesions = SyntheticLesions(level, seed)
    grey = (luminance(normal)[:, 0] * STD + MEAN).numpy()  # (N, H, W) in [0, 1]
    combinations = list(product(KINDS, SIZES))
    images, rows, cells = [], [], []
    for number in range(PAINTED if len(grey) else 0):
        row, (kind, share) = number % len(grey), combinations[number % len(combinations)]
        other = grey[(row + 1 + number // len(grey)) % len(grey)]
        found = lesions(grey[row], other, kind=kind, share=share, number=number)
        if found is not None:
            images.append(normal[row] + torch.from_numpy((found.image - grey[row]) / STD))  # alike in all channels
            rows.append(row)
            cells.append((kind, share))
    return PaintedImages(torch.stack(images).float() if images else torch.empty(0), rows, cells)
