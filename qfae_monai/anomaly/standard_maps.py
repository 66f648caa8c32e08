"""Maps standardised by normals: how far a pixel is above what it is in normal scans, in their standard deviations.

What is always badly reconstructed, such as an edge or a fold, counts less then. The statistics are those of held-out
normal scans, for each pixel and for places along the stack of slices.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PLACES = 5
"""Along the stack, at which the statistics are taken; between two of them they are interpolated."""
REACH = 0.15  # of the stack, standard deviation of the weight by which a slice counts at a place
FINEST = 56  # points along a side that statistics are kept at; between them they are interpolated
PRIOR = 10.0  # images: the mean spread of all pixels counts as so many, as that of one pixel is of few images


class StandardMaps(nn.Module):
    """Location and spread of the maps of normal images, by which others are standardised.

    Args:
        location, spread: (places, L, h, w), of L maps at h x w points; one place for images without a stack.

    Raises:
        ValueError: if their shapes differ.
    """

    def __init__(self, location: Tensor, spread: Tensor) -> None:
        super().__init__()
        if location.shape != spread.shape or location.dim() != 4:
            raise ValueError(
                f"expected location and spread of one shape (places, L, h, w), got {tuple(location.shape)} and "
                f"{tuple(spread.shape)}"
            )
        self.location: Tensor
        self.spread: Tensor
        self.register_buffer("location", location, persistent=False)
        self.register_buffer("spread", spread, persistent=False)

    @classmethod
    def of(cls, maps: Tensor, position: Tensor | None = None) -> StandardMaps:
        """Statistics of normal maps.

        Args:
            maps: (N, L, h, w).
            position: (N,) along the stack, in [0, 1]; None of images without one.

        Raises:
            ValueError: of fewer than two maps.
        """
        if len(maps) < 2:
            raise ValueError(f"expected the maps of at least 2 normal images to standardise by, got {len(maps)}")
        places = torch.zeros(1) if position is None else torch.linspace(0, 1, PLACES)  # (P,)
        where = torch.zeros(len(maps)) if position is None else position.float().cpu()  # (N,)
        weight = torch.exp(-0.5 * ((where - places[:, None]) / REACH).square())  # (P, N)
        # of places that no slice lies near, the nearest slices count
        weight = (weight + 1e-6).to(maps.device, maps.dtype)
        location = torch.stack([_weighted_mean(maps, one) for one in weight])  # (P, L, h, w)
        variance = torch.stack(
            [_weighted_mean((maps - middle).square(), one) for one, middle in zip(weight, location, strict=True)]
        )
        common = variance.mean(dim=(2, 3), keepdim=True)  # (P, L, 1, 1), of all pixels
        location, variance = _coarse(location), _coarse(variance)
        effective = (weight.sum(1).square() / weight.square().sum(1))[:, None, None, None]  # images that count
        variance = (effective * variance + PRIOR * common) / (effective + PRIOR)
        return cls(location, variance.sqrt().clamp_min(torch.finfo(maps.dtype).tiny ** 0.5))

    def forward(self, maps: Tensor, position: Tensor | None = None) -> Tensor:
        """maps: (B, L, h, w), position: (B,) in [0, 1], None for the middle -> (B, L, h, w) in standard deviations."""
        weight = self._weights(maps, position)  # (B, P)
        location, spread = (
            F.interpolate(
                torch.einsum("bp,plhw->blhw", weight, one), maps.shape[2:], mode="bilinear", align_corners=False
            )
            for one in (self.location, self.spread)
        )
        return (maps - location) / spread

    def _weights(self, maps: Tensor, position: Tensor | None) -> Tensor:
        """Of each place for each map: those of the two next to it."""
        places = len(self.location)
        if places == 1:
            return maps.new_ones(maps.shape[0], 1)
        where = maps.new_full((maps.shape[0],), 0.5) if position is None else position.to(maps)  # (B,)
        steps = torch.arange(places, device=maps.device, dtype=maps.dtype)  # (P,)
        return (1 - (where[:, None] * (places - 1) - steps).abs()).clamp_min(0)


def _weighted_mean(maps: Tensor, weight: Tensor) -> Tensor:
    """(N, L, h, w) and (N,) -> (L, h, w)."""
    return torch.einsum("n,nlhw->lhw", weight, maps) / weight.sum()


def _coarse(values: Tensor) -> Tensor:
    """(P, L, H, W) -> (P, L, h, w), each point the mean of the pixels around it."""
    side = min(values.shape[2], FINEST)
    return F.interpolate(values, (side, side), mode="area") if side < values.shape[2] else values
