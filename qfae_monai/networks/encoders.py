"""Frozen vision-transformer encoder: an image to the token sequences of chosen blocks (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from qfae_monai.networks.precision import RoundedOnce

LAYER_NORM_EPS = 1e-5


class LayerNorm(nn.LayerNorm):
    """LayerNorm with the eps that the published numbers were made with: timm's own default changed to 1e-6."""

    def __init__(self, dim: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(dim, eps=LAYER_NORM_EPS, device=device, dtype=dtype)


def block_index(block: int, depth: int) -> int:
    """Resolve a block number that may count from the end.

    Raises:
        ValueError: if there is no such block.

    >>> block_index(-2, depth=24)
    22
    """
    if not -depth <= block < depth:
        raise ValueError(f"block {block} is out of range for a network of {depth} blocks: {-depth}..{depth - 1}")
    return block % depth


def as_three_channels(image: Tensor) -> Tensor:
    """(B, 1 or 3, H, W) -> (B, 3, H, W): a grey image seen by a network made for colour; no memory is copied."""
    if image.shape[1] == 1:
        return image.expand(-1, 3, -1, -1)
    if image.shape[1] != 3:
        raise ValueError(f"expected an image of 1 or 3 channels, (B, C, H, W); got shape {tuple(image.shape)}")
    return image


def hidden_states(trunk: VisionTransformer, image: Tensor, blocks: Sequence[int]) -> list[Tensor]:
    """Raw residual stream after chosen blocks, without the trunk's final norm; no block after the last one runs.

    Args:
        trunk: a timm vision transformer.
        image: (B, 3, H, W) of the trunk's own size.
        blocks: block numbers counted from 0, negative ones from the end.

    Returns:
        One (B, prefix + N, D) per entry of `blocks`, in that order; prefix tokens (class, registers) come first.
    """
    return block_states(trunk, embed(trunk, image), blocks)


def embed(trunk: VisionTransformer, image: Tensor) -> Tensor:
    """Input of the first block, prefix and patch tokens with their positions: (B, 3, H, W) -> (B, prefix + N, D)."""
    return trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(image))))


def block_states(
    trunk: VisionTransformer, tokens: Tensor, blocks: Sequence[int], *, visible: Tensor | None = None
) -> list[Tensor]:
    """As `hidden_states`, from embedded tokens (B, T, D).

    Args:
        trunk, blocks: as in `hidden_states`.
        tokens: the first block's input.
        visible: boolean (T, T), True where a token (row) attends to another (column); None for everywhere.
    """
    indices = [block_index(block, len(trunk.blocks)) for block in blocks]
    states: dict[int, Tensor] = {}
    for index in range(max(indices) + 1):
        tokens = trunk.blocks[index](tokens, attn_mask=visible)  # (B, T, D)
        states[index] = tokens
    return [states[index] for index in indices]


class FrozenViT(nn.Module):
    """Frozen trunk, and what is trained behind it: an optional transformer block and an optional projection.

    The trunk stays in eval mode and without gradient whatever `train()` is asked for.

    Args:
        trunk: a timm vision transformer; its patch embedding and positions fix the image size.
        blocks: blocks whose states are used, concatenated along the token axis in this order.
        output_dim: width of the trainable linear projection shared by all states; None leaves the trunk's width.
        additional_block: arguments of one more trainable block before the projection (`num_heads`, `mlp_ratio`).
        normalised: whether tokens are normalised over their channels, before that block.
        target_blocks: groups of blocks whose normalised patch tokens, averaged over a group, are to be decoded.

    Raises:
        ValueError: if a block is out of the trunk's range.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        *,
        blocks: Sequence[int] = (-2, -4),
        output_dim: int | None = None,
        additional_block: Mapping[str, float] | None = None,
        normalised: bool = False,
        target_blocks: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__()
        depth = len(trunk.blocks)
        self.blocks = tuple(block_index(block, depth) for block in blocks)
        self.target_blocks = tuple(tuple(block_index(block, depth) for block in group) for group in target_blocks)
        decoded = dict.fromkeys(block for group in self.target_blocks for block in group)  # in order, each once
        self.read = (*self.blocks, *(block for block in decoded if block not in self.blocks))
        self.normalised = normalised
        self.trunk = trunk.requires_grad_(False).eval()
        self._rounded = RoundedOnce[VisionTransformer]()
        self.additional_block: nn.Module = nn.Identity()
        if additional_block is not None:
            self.additional_block = Block(
                trunk.embed_dim,
                num_heads=int(additional_block["num_heads"]),
                mlp_ratio=float(additional_block["mlp_ratio"]),
                norm_layer=LayerNorm,
            )
        self.projection: nn.Module = nn.Identity()
        if output_dim is not None:
            self.projection = nn.Linear(trunk.embed_dim, output_dim)
        self.output_dim = trunk.embed_dim if output_dim is None else output_dim

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.trunk.patch_embed.img_size
        return int(height), int(width)

    @property
    def num_tokens(self) -> int:
        """Length of the token sequence that `forward` returns."""
        return len(self.blocks) * (self.trunk.num_prefix_tokens + self.trunk.patch_embed.num_patches)

    def train(self, mode: bool = True) -> FrozenViT:
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 1 or 3, H, W), normalised -> tokens: (B, num_tokens, output_dim)."""
        return self.project(self.states(image))

    def states(self, image: Tensor) -> Tensor:
        """What the frozen trunk makes of an image, without gradient: the blocks in `read`, one behind the other.

        (B, len(read) * (prefix + N), D).
        """
        if tuple(image.shape[-2:]) != self.image_size:
            raise ValueError(f"expected an image of {self.image_size} pixels, got {tuple(image.shape[-2:])}")
        with torch.no_grad():  # no activation of the trunk is kept for the backward pass
            (trunk,) = self._rounded([self.trunk])
            states = hidden_states(trunk, as_three_channels(image), self.read)
        return torch.cat(states, dim=1)

    def project(self, states: Tensor) -> Tensor:
        """What is trained behind the trunk: `states` -> tokens (B, num_tokens, output_dim)."""
        tokens = states[:, : self.num_tokens]
        tokens = F.layer_norm(tokens, tokens.shape[-1:]) if self.normalised else tokens
        return self.projection(self.additional_block(tokens))

    def target(self, states: Tensor) -> Tensor:
        """`states` -> what is to be decoded: (B, groups, N, D), float32."""
        length = states.shape[1] // len(self.read)  # prefix + N
        parts = dict(zip(self.read, states.float().split(length, dim=1), strict=True))
        patches = {
            block: F.layer_norm(parts[block][:, self.trunk.num_prefix_tokens :], states.shape[-1:])
            for group in self.target_blocks
            for block in group
        }  # (B, N, D) by block
        return torch.stack([torch.stack([patches[one] for one in group]).mean(0) for group in self.target_blocks], 1)
