"""`torch.compile` block by block: one block is compiled once and serves all that are like it, seconds, not minutes."""

from __future__ import annotations

from timm.models.vision_transformer import Block
from torch import nn

from qfae_monai.networks.qformer import QFormerBlock


def compile_blocks(module: nn.Module) -> None:
    """Compile the transformer blocks of a module in place; names of weights stay as they are."""
    for part in module.modules():
        if isinstance(part, (Block, QFormerBlock)):
            part.compile()
