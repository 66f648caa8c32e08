"""Light transformer decoder, tokens to pixels (paper section 3.3, after He et al. 2021), and a plain autoencoder."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from qfae_monai.networks.encoders import LayerNorm, as_three_channels, block_index, hidden_states
from qfae_monai.networks.execution import Checkpointing, WholeState, check_checkpointing, run_block
from qfae_monai.networks.patches import sincos_positions, unpatchify
from qfae_monai.networks.precision import Precision, autocast, check_precision

PREFIX_INIT_STD = 1e-3  # of the class and register tokens


class PatchDecoder(nn.Module):
    """One token a patch, fixed positions, register and class tokens, pre-norm blocks, pixels.

    Args:
        input_dim: width of the incoming tokens.
        grid: patches along one side of the image; the incoming sequence has `grid` x `grid` tokens.
        patch_size: side of a patch in pixels.
        dim, depth, heads, mlp_ratio: of the transformer.
        out_channels: 1 is repeated to 3 in the output, 3 is returned as it is.
        num_registers: learned tokens beside the class token that carry no position and are dropped at the end.
        checkpointing: how much of the blocks' activations is kept for the backward pass, as in `run_block`.
    """

    def __init__(
        self,
        input_dim: int,
        grid: int,
        patch_size: int,
        *,
        dim: int = 768,
        depth: int = 6,
        heads: int = 12,
        mlp_ratio: float = 4.0,
        out_channels: int = 3,
        num_registers: int = 4,
        checkpointing: Checkpointing = "none",
    ) -> None:
        super().__init__()
        if out_channels not in (1, 3):
            raise ValueError(f"out_channels must be 1 or 3, got {out_channels}")
        check_checkpointing(checkpointing)
        self.checkpointing = checkpointing
        self.grid, self.patch_size, self.out_channels = grid, patch_size, out_channels
        self.embed = nn.Linear(input_dim, dim)
        # (1, N, D); fixed, so no checkpoint holds them
        self.register_buffer("positions", sincos_positions(dim, grid)[None], persistent=False)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim) * PREFIX_INIT_STD)  # (1, 1, D)
        self.register_tokens = (
            nn.Parameter(torch.randn(1, num_registers, dim) * PREFIX_INIT_STD) if num_registers else None
        )
        self.num_prefix_tokens = num_registers + 1
        self.blocks = nn.ModuleList(
            Block(dim, num_heads=heads, mlp_ratio=mlp_ratio, qkv_bias=True, norm_layer=LayerNorm) for _ in range(depth)
        )
        self.norm = LayerNorm(dim)
        self.prediction = nn.Linear(dim, patch_size * patch_size * out_channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (B, grid * grid, input_dim) -> image: (B, 3, grid * patch_size, grid * patch_size), linear."""
        patches = self.embed(tokens) + self.positions  # (B, N, D), N = grid * grid
        prefix = [self.cls_token] if self.register_tokens is None else [self.register_tokens, self.cls_token]
        # (B, prefix + N, D)
        sequence = torch.cat([*(token.expand(patches.shape[0], -1, -1) for token in prefix), patches], dim=1)
        for block in self.blocks:
            sequence = run_block(block, sequence, self.checkpointing)
        pixels = self.prediction(self.norm(sequence[:, self.num_prefix_tokens :]))  # (B, N, p * p * C)
        image = unpatchify(pixels, self.patch_size, self.out_channels)  # (B, C, H, W)
        return image.expand(-1, 3, -1, -1) if self.out_channels == 1 else image


# Plain autoencoder, the first row of the paper's Table 1: patch tokens go straight to the decoder, no bottleneck.


class PlainAutoencoder(WholeState):
    """Vision-transformer encoder and patch decoder, as many tokens as patches.

    Args:
        trunk: a timm vision transformer.
        decoder: takes one token a patch of the trunk's own grid.
        frozen: keep the trunk as it is (a pretrained one) instead of training it.
        block: of the trunk whose patch tokens are decoded, negative ones counted from the end.
        precision: as in `QFAE`.

    Raises:
        ValueError: if the trunk's grid of patches is not the decoder's, or it has no such block.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        decoder: PatchDecoder,
        *,
        frozen: bool = False,
        block: int = -1,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        check_precision(precision)
        if tuple(trunk.patch_embed.grid_size) != (decoder.grid, decoder.grid):
            raise ValueError(
                f"the encoder cuts an image into {tuple(trunk.patch_embed.grid_size)} patches, "
                f"the decoder expects {(decoder.grid, decoder.grid)}"
            )
        self.trunk = trunk.requires_grad_(not frozen)
        self.decoder = decoder
        self.frozen = frozen
        self.block = block_index(block, len(trunk.blocks))
        self.precision = precision

    def train(self, mode: bool = True) -> PlainAutoencoder:
        super().train(mode)
        if self.frozen:
            self.trunk.eval()  # no dropout in what is not trained
        return self

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 1 or 3, H, W), normalised -> reconstruction: (B, 3, H, W), float32, normalised."""
        with autocast(image.device, self.precision):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
                # (B, prefix + N, D)
                (tokens,) = hidden_states(self.trunk, as_three_channels(image), [self.block])
            reconstruction = self.decoder(tokens[:, self.trunk.num_prefix_tokens :])
        return reconstruction.float()
