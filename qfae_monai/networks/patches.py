"""Images to patch rows and back, and the fixed 2D sine-cosine positions of the decoder (He et al., MAE, 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def check_divisible(image_size: int, patch_size: int) -> int:
    """Return the number of patches along one side.

    Raises:
        ValueError: if `image_size` is not divisible by `patch_size`.

    >>> check_divisible(224, 8)
    28
    """
    if image_size % patch_size:
        raise ValueError(f"image_size {image_size} is not divisible by patch_size {patch_size}")
    return image_size // patch_size


def patchify(image: Tensor, patch_size: int) -> Tensor:
    """Cut an image into rows of patches, channel last inside a patch.

    Args:
        image: (B, C, H, W), H and W divisible by `patch_size`.
        patch_size: side of a patch in pixels.

    Returns:
        patches: (B, H/p * W/p, p * p * C), row by row.
    """
    batch, channels, height, width = image.shape
    rows, columns = check_divisible(height, patch_size), check_divisible(width, patch_size)
    cells = image.reshape(batch, channels, rows, patch_size, columns, patch_size)  # (B, C, H/p, p, W/p, p)
    # permuted to (B, H/p, W/p, p, p, C)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, patch_size * patch_size * channels)


def unpatchify(patches: Tensor, patch_size: int, channels: int) -> Tensor:
    """Put rows of patches back into a square image: the inverse of `patchify`.

    Args:
        patches: (B, n * n, p * p * C), channel last inside a patch.
        patch_size: side of a patch in pixels.
        channels: C.

    Returns:
        image: (B, C, n * p, n * p).
    """
    batch, count, _ = patches.shape
    side = math.isqrt(int(count))  # a tensor while a network is traced
    cells = patches.reshape(batch, side, side, patch_size, patch_size, channels)  # (B, n, n, p, p, C)
    # permuted to (B, C, n, p, n, p)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, side * patch_size, side * patch_size)


def sincos_positions(dim: int, side: int) -> Tensor:
    """Fixed positions of a square grid of patches: half the channels say the column, half the row (width first).

    Args:
        dim: number of channels, divisible by 4.
        side: patches along one side.

    Returns:
        positions: (side * side, dim), row by row.

    Raises:
        ValueError: if `dim` is not divisible by 4.
    """
    if dim % 4:
        raise ValueError(f"dim {dim} is not divisible by 4, which 2D sine-cosine positions need")
    # (dim / 4,), float64: rounded once, at the end
    frequencies = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies  # (side, dim / 4), radians
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, dim / 2)
    column = waves.repeat(side, 1)  # (side * side, dim / 2), along a row the column changes
    row = waves.repeat_interleave(side, dim=0)  # (side * side, dim / 2)
    return torch.cat([column, row], dim=1).float()
