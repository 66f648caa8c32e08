"""Distance of decoded tokens from the encoder's own: loss and map of the variant that decodes features."""

from __future__ import annotations

from math import isqrt
from typing import Any

from monai.utils import LossReduction
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.loss import _Loss

from qfae_monai.anomaly.perceptual import METRICS
from qfae_monai.networks.token_decoder import Decoded


class TokenDistance(_Loss):
    """Mean square of the difference at each patch, of each group of blocks; the scalar adds the picture's mean error.

    Tokens are whitened: a cosine would throw away how far from normal they are.

    The picture's gradient ends at its own layer (`TokenDecoder`): it is to be looked at, and moves nothing else.

    Args:
        reduction: `mean` for a scalar, `none` for maps.

    Raises:
        ValueError: for another reduction.

    Example:
        >>> import torch
        >>> tokens = torch.ones(1, 2, 4, 8)
        >>> same = Decoded(torch.zeros(1, 3, 6, 6), tokens, tokens, tokens)
        >>> TokenDistance("none")(same, torch.zeros(1, 1, 6, 6)).shape
        torch.Size([1, 2, 6, 6])
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if reduction not in ("mean", "none"):
            raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}")

    def forward(self, input: Decoded, target: Tensor) -> Tensor:
        """
        Args:
            input: what a network decoded.
            target: the image, (B, 1 or 3, H, W), normalised.

        Returns:
            A scalar, or the maps of G groups: (B, G, H, W).
        """
        distance = METRICS["l2"](input.tokens, input.target)  # (B, G, N)
        if self.reduction == LossReduction.MEAN.value:
            return distance.mean() + (input.image[:, :1] - target[:, :1]).abs().mean()
        return on_image(distance, target.shape[-2:])

    def target(self, image: Tensor) -> Tensor:
        """What `forward` needs of a target image: the image."""
        return image[:, :1]

    def depends_on(self) -> list[Any]:
        """All that `target` depends on beside the image."""
        return []


def on_image(patches: Tensor, size: tuple[int, ...]) -> Tensor:
    """Values of a square grid of patches, (B, G, N), bilinearly on an image's pixels: (B, G, H, W)."""
    side = isqrt(int(patches.shape[-1]))
    return F.interpolate(patches.unflatten(-1, (side, side)), size=size, mode="bilinear", align_corners=False)
