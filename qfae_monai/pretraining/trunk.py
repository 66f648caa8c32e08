"""Vision transformer that a pretraining trains, from given weights or from scratch, and the blocks of it to use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from qfae_monai.networks.encoders import as_three_channels
from qfae_monai.networks.patches import sincos_positions
from qfae_monai.weights import create_vit

# Choice of a vision transformer's blocks for the method, by depth: the paper's, where it has enough.


def encoder_blocks(depth: int) -> list[int]:
    """The paper's two states for a deep network; of a shallow one the last but one, whose features are least tied to
    what it was trained for.

    >>> encoder_blocks(12), encoder_blocks(4), encoder_blocks(1)
    ([-2, -4], [-2], [-1])
    """
    return [-2, -4] if depth >= 8 else [-2] if depth > 1 else [-1]


def loss_blocks(depth: int) -> list[int]:
    """Of the perceptual network in training; the paper's are blocks 15 and 19 of 24.

    >>> loss_blocks(24), loss_blocks(12), loss_blocks(4)
    ([15, 19], [7, 9], [2])
    """
    return _at(depth, (2 / 3, 5 / 6))


def score_blocks(depth: int) -> list[int]:
    """Of the perceptual network in scoring; the paper's are blocks 11, 15 and 19 of 24.

    >>> score_blocks(24), score_blocks(12), score_blocks(4)
    ([11, 15, 19], [5, 7, 9], [1, 2])
    """
    return _at(depth, (1 / 2, 2 / 3, 5 / 6))


def judged_blocks(depth: int) -> list[int]:
    """At each quarter of the depth, the same of a trained network and of a random one.

    >>> judged_blocks(12), judged_blocks(4), judged_blocks(1)
    ([2, 5, 8, 11], [0, 1, 2, 3], [0])
    """
    return _at(depth, (1 / 4, 1 / 2, 3 / 4, 1))


def _at(depth: int, shares: Sequence[float]) -> list[int]:
    """Blocks at shares of the depth, each once."""
    # a shallow network has fewer blocks than shares
    return sorted({max(0, round(share * depth) - 1) for share in shares})


TOKEN_INIT_STD = 0.02
"""Of the learned token that stands for a hidden patch."""


def create_trunk(
    name: str,
    *,
    initial_weights: str | os.PathLike | None = None,
    seed: int = 0,
    image_size: int = 224,
    **architecture: Any,
) -> VisionTransformer:
    """A trainable vision transformer with a class token.

    Args:
        name: timm name.
        initial_weights: a file, a folder or "hub", as in `create_vit`; None starts from scratch.
        seed: of the random values from scratch; positions then start as fixed 2D sine-cosine waves (He et al. 2022).
        image_size: side of the square input in pixels.
        architecture: passed on to timm (`patch_size`, `embed_dim`, `depth`, `num_heads`, `dynamic_img_size`).

    Raises:
        ValueError: if there is no class token, the sizes do not fit or the weights are of another architecture.
        WeightsNotFoundError: if the initial weights are not there.
    """
    trunk = create_vit(name, weights=initial_weights, seed=seed, image_size=image_size, **architecture)
    if not trunk.has_class_token:
        raise ValueError(f"{name}: expected a vision transformer with a class token, got one without")
    if initial_weights is None:
        _start_positions(trunk)
    return trunk


def encode(
    trunk: VisionTransformer, image: Tensor, *, hidden: Tensor | None = None, hidden_token: Tensor | None = None
) -> Tensor:
    """Normalised tokens of the last block.

    Args:
        trunk: made with `dynamic_img_size` where images of several sizes come.
        image: (B, 1 or 3, H, W), normalised.
        hidden: boolean (B, H/p, W/p), True where a patch is replaced by `hidden_token`; None shows all.
        hidden_token: (1, 1, D).

    Returns:
        (B, prefix + N, D), the class token first.
    """
    patches = trunk.patch_embed(as_three_channels(image))  # (B, N, D), or (B, H/p, W/p, D) of a dynamic size
    if hidden is not None and hidden_token is not None:
        patches = torch.where(hidden.reshape(*patches.shape[:-1], 1), hidden_token, patches)
    return trunk.norm(trunk.blocks(trunk.norm_pre(trunk._pos_embed(patches))))


def _start_positions(trunk: VisionTransformer) -> None:
    rows, columns = trunk.patch_embed.grid_size  # patches
    assert rows == columns, "images are square"
    with torch.no_grad():
        positions = trunk.get_parameter("pos_embed")
        positions.zero_()  # prefix tokens have no place
        positions[:, -rows * columns :] = sincos_positions(trunk.embed_dim, rows)
