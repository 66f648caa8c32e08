"""Weighted sum of losses: the training objectives of the paper's ablation (perceptual with L1, MSE or SSIM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.loss import _Loss


class WeightedSumLoss(_Loss):
    """Weighted sum of losses that each return a scalar.

    Args:
        losses: modules called with (input, target), for example `PerceptualLoss`, `torch.nn.L1Loss`,
            `torch.nn.MSELoss`, `monai.losses.SSIMLoss`.
        weights: one for each loss.
        average: `maps` is the released implementation's rule: the weighted maps of all losses are averaged, so that a
            perceptual loss of L blocks counts L times as much as a pixel loss and the sum is divided by their number;
            `none` is the plain `sum(weight * loss)`.

    Raises:
        ValueError: if there are not as many weights as losses.
    """

    def __init__(
        self, losses: Sequence[nn.Module], weights: Sequence[float], *, average: Literal["maps", "none"] = "maps"
    ) -> None:
        super().__init__()
        if len(losses) != len(weights) or not losses:
            raise ValueError(f"expected one weight for each loss, got {len(losses)} losses and {len(weights)} weights")
        if average not in ("maps", "none"):
            raise ValueError(f"average must be 'maps' or 'none', got {average!r}")
        self.losses = nn.ModuleList(losses)
        counts = [getattr(loss, "num_maps", 1) if average == "maps" else 1 for loss in losses]  # maps of each loss
        total = sum(counts) if average == "maps" else 1
        self.factors = tuple(weight * count / total for weight, count in zip(weights, counts, strict=True))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """input, target: (B, 1 or 3, H, W) -> scalar."""
        target = target.expand_as(input)  # a grey target beside a reconstruction of three channels
        terms = [factor * loss(input, target) for loss, factor in zip(self.losses, self.factors, strict=True)]
        return sum(terms[1:], start=terms[0])
