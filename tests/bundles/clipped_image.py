"""Stands for a trained network where only geometry is tested: it reconstructs whatever is not too bright."""

from __future__ import annotations

from torch import Tensor, nn


class ClippedImage(nn.Module):
    """image: (B, 1, H, W) -> (B, 3, H, W), clipped at a limit."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, image: Tensor) -> Tensor:
        return image.clamp(max=self.limit).expand(-1, 3, -1, -1)
