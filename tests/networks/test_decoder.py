"""Patch decoder: shapes, grey output, prefix tokens and fixed positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from qfae_monai.networks import PatchDecoder

SIZES: dict[str, Any] = {"dim": 16, "depth": 1, "heads": 2, "mlp_ratio": 2.0}

# [arguments, shape of the image made from 9 tokens of width 12]
TEST_CASES: list[list[Any]] = [
    [{}, (2, 3, 12, 12)],
    [{"out_channels": 1}, (2, 3, 12, 12)],
    [{"num_registers": 0}, (2, 3, 12, 12)],
]


@pytest.mark.parametrize(("arguments", "shape"), TEST_CASES)
def test_shape(arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    decoder = PatchDecoder(12, 3, 4, **SIZES, **arguments)
    image = decoder(torch.randn(2, 9, 12))
    assert image.shape == shape
    image.sum().backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())
    assert ("register_tokens" in decoder.state_dict()) == (arguments.get("num_registers") != 0)
    assert "positions" not in decoder.state_dict()


def test_one_channel_is_repeated() -> None:
    image = PatchDecoder(12, 3, 4, out_channels=1, **SIZES)(torch.randn(1, 9, 12))
    assert torch.equal(image[:, 0], image[:, 1])
    assert torch.equal(image[:, 0], image[:, 2])


def test_token_i_becomes_patch_i() -> None:
    decoder = PatchDecoder(12, 3, 4, **{**SIZES, "depth": 0})
    tokens = torch.randn(1, 9, 12)
    moved = tokens.clone()
    moved[:, 5] += torch.randn(12)
    changed = (decoder(tokens) - decoder(moved)).abs().amax(dim=(0, 1)) > 0
    rows, columns = changed.nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 7, 8, 11)  # second row, third column


def test_layer_norms_have_the_eps_of_the_published_numbers() -> None:
    norms = [module for module in PatchDecoder(12, 3, 4, **SIZES).modules() if isinstance(module, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-5}
    assert len(norms) == 3


def test_refuses_two_channels() -> None:
    with pytest.raises(ValueError, match="out_channels must be 1 or 3, got 2"):
        PatchDecoder(12, 3, 4, out_channels=2, **SIZES)
