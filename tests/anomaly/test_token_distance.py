"""Distance of decoded tokens."""

from __future__ import annotations

import pytest
import torch

from qfae_monai.anomaly import TokenDistance
from qfae_monai.anomaly.token_distance import on_image
from qfae_monai.networks.token_decoder import Decoded


def test_a_wrong_token_is_seen_at_its_place() -> None:
    tokens = torch.zeros(1, 1, 16, 4)
    target = tokens.clone()
    target[0, 0, 5] = 2.0  # row 1, column 1 of 4 x 4 patches
    image = torch.zeros(1, 1, 32, 32)
    found = TokenDistance("none")(Decoded(image.expand(-1, 3, -1, -1), tokens, target, target), image)
    assert divmod(int(found.argmax()), 32) == (11, 11)  # the middle of the patch, 8 px wide
    assert 3 < float(found.max()) <= 4  # mean square of 2, less what interpolation takes


def test_the_scalar_is_the_mean_square_and_the_pictures_error() -> None:
    tokens = torch.zeros(1, 1, 4, 4)
    image = torch.full((1, 1, 8, 8), 0.5)
    found = Decoded(torch.zeros(1, 3, 8, 8), tokens, tokens + 1, tokens)
    assert float(TokenDistance()(found, image)) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'none', got 'sum'"):
        TokenDistance("sum")


def test_values_of_patches_are_traced_onto_the_image() -> None:
    """As TorchScript does it, where sizes are tensors."""
    patches = torch.rand(1, 2, 16)
    traced = torch.jit.trace(lambda one: on_image(one, (8, 8)), patches, check_trace=False)
    assert torch.equal(traced(patches), on_image(patches, (8, 8)))
    assert traced(patches).shape == (1, 2, 8, 8)
