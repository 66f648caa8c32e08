"""Small networks and images for the tests of pretraining."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from qfae_monai.pretraining import create_trunk


def small_trunk(**changes: object) -> VisionTransformer:
    """32 px in 4 x 4 patches of 8 px, two blocks of width 24."""
    sizes = {"image_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    return create_trunk("vit_tiny_patch16_224", seed=1, **{**sizes, **changes})  # type: ignore[arg-type]


@pytest.fixture
def images() -> Tensor:
    """Six normalised images (6, 1, 32, 32)."""
    return torch.randn(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))
