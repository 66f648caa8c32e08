"""Masked autoencoder: most of an image is hidden from the encoder and drawn by a light decoder (He et al. 2022)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.loss import _Loss

from qfae_monai.networks.decoder import PatchDecoder
from qfae_monai.networks.encoders import as_three_channels, embed
from qfae_monai.networks.patches import patchify
from qfae_monai.networks.precision import Precision, autocast, check_precision
from qfae_monai.pretraining.trunk import TOKEN_INIT_STD

PATCH_EPS = 1e-6  # of a patch's variance, as in the paper's code
HELD_OUT_SEED = 0


class Reconstruction(NamedTuple):
    """Output of a masked autoencoder for an image.

    Attributes:
        patches: (B, N, p * p) float32, each patch in its own mean and standard deviation.
        masked: (B, N) boolean, True where the encoder saw nothing.
    """

    patches: Tensor
    masked: Tensor


class MaskedAutoencoder(nn.Module):
    """A vision transformer that sees a quarter of an image's patches, and a decoder that draws the others.

    Args:
        trunk: the encoder, whose weights are what is wanted in the end.
        decoder: takes tokens of the trunk's width on the trunk's grid.
        mask_ratio: share of hidden patches.
        precision: what matrix products run in, as in `compute_dtype`.

    Raises:
        ValueError: if the decoder does not fit the trunk, or all or none of the patches would be hidden.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        decoder: PatchDecoder,
        *,
        mask_ratio: float = 0.75,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        check_precision(precision)
        grid, patches = (decoder.grid, decoder.grid), trunk.patch_embed.num_patches
        if trunk.patch_embed.grid_size != grid or decoder.embed.in_features != trunk.embed_dim:
            raise ValueError(
                f"expected a decoder of {trunk.patch_embed.grid_size} patches and tokens of width "
                f"{trunk.embed_dim}, got {grid} and {decoder.embed.in_features}"
            )
        self.visible = round(patches * (1 - mask_ratio))  # patches
        if not 0 < self.visible < patches:
            raise ValueError(f"mask_ratio {mask_ratio} leaves {self.visible} of {patches} patches visible")
        self.trunk, self.decoder, self.precision = trunk, decoder, precision
        self.mask_token = nn.Parameter(torch.randn(1, 1, trunk.embed_dim) * TOKEN_INIT_STD)

    def forward(self, image: Tensor) -> Reconstruction:
        """image: (B, 1 or 3, H, W), normalised. In eval mode the masks are always the same: losses can be compared."""
        kept = self._draw(image.shape[0]).to(image.device)  # (B, visible) patch numbers
        with autocast(image.device, self.precision):
            tokens = self._encode(as_three_channels(image), kept)  # (B, visible, D)
            drawn = self.decoder(self._fill(tokens, kept))  # (B, 3, H, W)
        # (B, N), N = grid * grid
        masked = torch.ones(drawn.shape[0], self.decoder.grid**2, dtype=torch.bool, device=kept.device)
        return Reconstruction(patchify(drawn[:, :1].float(), self.decoder.patch_size), masked.scatter(1, kept, False))

    def _draw(self, batch: int) -> Tensor:
        """Numbers of the visible patches, (B, visible)."""
        generator = None if self.training else torch.Generator().manual_seed(HELD_OUT_SEED)
        return torch.rand(batch, self.decoder.grid**2, generator=generator).argsort(dim=1)[:, : self.visible]

    def _encode(self, image: Tensor, kept: Tensor) -> Tensor:
        """Visible patches alone: (B, visible, D)."""
        # (B, prefix, D) and (B, N, D)
        prefix, patches = embed(self.trunk, image).tensor_split([self.trunk.num_prefix_tokens], dim=1)
        seen = patches.gather(1, kept[..., None].expand(-1, -1, patches.shape[-1]))  # (B, visible, D)
        tokens = self.trunk.norm(self.trunk.blocks(torch.cat([prefix, seen], dim=1)))
        return tokens[:, self.trunk.num_prefix_tokens :]

    def _fill(self, tokens: Tensor, kept: Tensor) -> Tensor:
        """Tokens at their places, the mask token elsewhere: (B, N, D)."""
        # (B, N, D), a view until tokens are put in
        everywhere = self.mask_token.expand(tokens.shape[0], self.decoder.grid**2, -1)
        return everywhere.scatter(1, kept[..., None].expand_as(tokens), tokens.to(everywhere.dtype))


class MaskedPatchLoss(_Loss):
    """Mean squared error of the hidden patches, each target patch normalised by its own mean and deviation."""

    def forward(self, input: Reconstruction, target: Tensor) -> Tensor:
        """input: of `MaskedAutoencoder`; target: the image (B, 1 or 3, H, W) -> a scalar."""
        pixels = input.patches.shape[-1]  # p * p
        # (B, N, p * p)
        wanted = F.layer_norm(patchify(target[:, :1].float(), math.isqrt(pixels)), (pixels,), eps=PATCH_EPS)
        errors = (input.patches - wanted).square().mean(dim=-1)  # (B, N)
        return (errors * input.masked).sum() / input.masked.sum()  # not errors[masked]: the host would wait to count
