"""Pooling of a map over its pixels: the largest, the mean, or the mean of the highest share, of the image or its body.

The paper takes the largest pixel, and the mean for radiographs (Table 10); a share between them is steadier than one
pixel and still sees a small lesion.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

PixelReduction = Literal["max", "top", "mean"]
PIXEL_REDUCTIONS = ("max", "top", "mean")


class PixelPooling(nn.Module):
    """One number of each map.

    Args:
        how: `max`, `mean`, or `top`, the mean of the highest `share` of the pixels.
        share: of the pixels, in (0, 1], for `top`.
        above: value of a normalised image above which a pixel is body, in any of its channels; the others do not
            count. None where all count, as they do in an image without any body.

    Raises:
        ValueError: for an unknown way, or a share that is not in (0, 1].

    Example:
        >>> maps = torch.tensor([[[[0.0, 4.0], [2.0, 1.0]]]])
        >>> PixelPooling("top", share=0.5)(maps, maps[:, 0]).tolist()
        [[3.0]]
    """

    def __init__(self, how: PixelReduction = "max", *, share: float = 0.05, above: float | None = None) -> None:
        super().__init__()
        if how not in PIXEL_REDUCTIONS:
            raise ValueError(f"score_over_pixels must be one of {PIXEL_REDUCTIONS}, got {how!r}")
        if not 0 < share <= 1:
            raise ValueError(f"score_share must be in (0, 1], got {share}")
        self.how, self.share, self.above = how, share, above

    def forward(self, maps: Tensor, image: Tensor) -> Tensor:
        """maps: (B, L, H, W), image: (B, 1 or 3, H, W), normalised -> (B, L)."""
        values = maps.flatten(2)  # (B, L, pixels)
        if self.above is None:
            return self._of_all(values)
        body = (image > self.above).any(1, keepdim=True).flatten(2)  # (B, 1, pixels)
        body = body | ~body.any(dim=2, keepdim=True)
        if self.how == "mean":
            return (values * body).sum(2) / body.sum(2)
        inside = torch.where(body, values, -torch.inf)
        return inside.amax(2) if self.how == "max" else self._of_body(inside, body)

    def _of_all(self, values: Tensor) -> Tensor:
        if self.how == "mean":
            return values.mean(2)
        if self.how == "max":
            return values.amax(2)
        return values.topk(math.ceil(self.share * values.shape[2]), dim=2).values.mean(2)

    def _of_body(self, inside: Tensor, body: Tensor) -> Tensor:
        """Mean of the highest share of the pixels of a body, whose number differs from image to image."""
        most = math.ceil(self.share * inside.shape[2])  # pixels, of an image that is all body
        highest = inside.topk(most, dim=2).values  # (B, L, most), descending
        wanted = (self.share * body.sum(2, keepdim=True)).ceil()  # (B, 1, 1) pixels
        counts = torch.arange(most, device=inside.device) < wanted  # (B, 1, most)
        return torch.where(counts, highest, 0.0).sum(2) / wanted[..., 0]
