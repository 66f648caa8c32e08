"""Decoder of an encoder's own tokens in place of pixels, a variant of ours: normal features, and a picture to look at.

As in Dinomaly (Guo et al., CVPR 2025) and UniAD (You et al., NeurIPS 2022), but from the queries of a Q-Former: what
passes through so few tokens is what normal images have in common.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from qfae_monai.networks.encoders import LayerNorm
from qfae_monai.networks.execution import Checkpointing, check_checkpointing, run_block
from qfae_monai.networks.patches import sincos_positions, unpatchify
from qfae_monai.networks.whitening import Whitening

MASK_INIT_STD = 0.02  # of the token that stands at each place before it is decoded


class Decoded(NamedTuple):
    """Reconstruction in tokens.

    Attributes:
        image: (B, 3, H, W), a picture of the decoded tokens, normalised.
        tokens: (B, G, N, D), decoded, of G groups of blocks and N patches, whitened by normal ones.
        target: (B, G, N, D), the encoder's own, whitened.
        encoded: (B, G, N, D), the encoder's own, normalised over channels.
    """

    image: Tensor
    tokens: Tensor
    target: Tensor
    encoded: Tensor


class TokenDecoder(nn.Module):
    """Queries to the encoder's tokens: places with fixed positions attend to the queries and to one another.

    Args:
        input_dim: width of the queries.
        grid: patches of the encoder along one side of the image.
        patch_size: side of a patch in pixels, of the picture.
        token_dim: width of the encoder's tokens.
        groups: of the encoder's blocks that are decoded.
        whiten_directions: as `directions` of `Whitening`.
        dim, depth, heads, mlp_ratio: of the transformer.
        checkpointing: as in `PatchDecoder`.
    """

    def __init__(
        self,
        input_dim: int,
        grid: int,
        patch_size: int,
        *,
        token_dim: int,
        groups: int,
        whiten_directions: bool = True,
        dim: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        checkpointing: Checkpointing = "none",
    ) -> None:
        super().__init__()
        check_checkpointing(checkpointing)
        self.checkpointing = checkpointing
        self.grid, self.patch_size, self.groups = grid, patch_size, groups
        self.embed = nn.Linear(input_dim, dim)
        self.positions: Tensor
        # (1, N, D); fixed, so no checkpoint holds them
        self.register_buffer("positions", sincos_positions(dim, grid)[None], persistent=False)
        self.mask_token = nn.Parameter(torch.randn(1, 1, dim) * MASK_INIT_STD)  # (1, 1, D)
        self.blocks = nn.ModuleList(
            Block(dim, num_heads=heads, mlp_ratio=mlp_ratio, qkv_bias=True, norm_layer=LayerNorm) for _ in range(depth)
        )
        self.norm = LayerNorm(dim)
        self.prediction = nn.Linear(dim, token_dim * groups)
        self.whitening = Whitening(groups, grid * grid, token_dim, directions=whiten_directions)
        self.picture = nn.Linear(dim, patch_size * patch_size)

    def forward(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """queries: (B, Q, input_dim) -> whitened tokens (B, G, N, token_dim) and picture (B, 3, H, W)."""
        places = (self.mask_token + self.positions).expand(queries.shape[0], -1, -1)  # (B, N, D), N = grid * grid
        sequence = torch.cat([self.embed(queries), places], dim=1)  # (B, Q + N, D)
        for block in self.blocks:
            sequence = run_block(block, sequence, self.checkpointing)
        decoded = self.norm(sequence[:, -self.grid * self.grid :])  # (B, N, D)
        tokens = self.prediction(decoded).unflatten(-1, (self.groups, -1)).transpose(1, 2)  # (B, G, N, token_dim)
        # to be looked at only: what passes the bottleneck is not for pixels
        pixels = self.picture(decoded.detach())  # (B, N, p * p)
        return tokens, unpatchify(pixels, self.patch_size, 1).expand(-1, 3, -1, -1)
