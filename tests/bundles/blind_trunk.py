"""A network that has collapsed before it starts: it sees the same in every image."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer


def blind(trunk: VisionTransformer) -> VisionTransformer:
    """Take the image away from a trunk, for good."""
    weight = trunk.get_parameter("patch_embed.proj.weight").requires_grad_(False)
    with torch.no_grad():
        weight.zero_()
    return trunk
