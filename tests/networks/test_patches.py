"""Patches and positions: order of pixels, round trip, and the formula of the 2D sine-cosine positions."""

from __future__ import annotations

import math

import pytest
import torch

from qfae_monai.networks.patches import check_divisible, patchify, sincos_positions, unpatchify

# [patch size, channels, side of the image]
TEST_CASES = [[1, 1, 3], [2, 1, 4], [4, 3, 12]]


@pytest.mark.parametrize(("patch_size", "channels", "side"), TEST_CASES)
def test_round_trip(patch_size: int, channels: int, side: int) -> None:
    image = torch.rand(2, channels, side, side)
    patches = patchify(image, patch_size)
    assert patches.shape == (2, (side // patch_size) ** 2, patch_size**2 * channels)
    torch.testing.assert_close(unpatchify(patches, patch_size, channels), image, rtol=0, atol=0)


def test_patches_go_row_by_row_with_the_channel_last() -> None:
    image = torch.arange(2 * 4 * 6).view(1, 2, 4, 6)
    # Second patch of the first row: pixels (0, 2), (0, 3), (1, 2), (1, 3); channel 1 is 24 higher.
    assert patchify(image, 2)[0, 1].tolist() == [2, 26, 3, 27, 8, 32, 9, 33]


def test_refuses_a_size_that_is_not_divisible() -> None:
    with pytest.raises(ValueError, match="image_size 30 is not divisible by patch_size 8"):
        patchify(torch.zeros(1, 1, 32, 30), 8)
    with pytest.raises(ValueError, match="image_size 224 is not divisible by patch_size 15"):
        check_divisible(224, 15)


def test_positions_are_the_formula_width_first() -> None:
    dim, side = 8, 3
    expected = []
    for row in range(side):
        for column in range(side):
            expected.append(
                [
                    wave(place / 10000 ** (k / (dim / 4)))
                    for place in (column, row)
                    for wave in (math.sin, math.cos)
                    for k in range(dim // 4)
                ]
            )
    torch.testing.assert_close(sincos_positions(dim, side), torch.tensor(expected))


def test_positions_refuse_a_width_not_divisible_by_4() -> None:
    with pytest.raises(ValueError, match="dim 10 is not divisible by 4"):
        sincos_positions(10, 2)
