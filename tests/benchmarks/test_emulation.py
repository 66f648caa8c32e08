"""Emulated formats give the numbers of torch's own products in them, and TF32 rounds as it is defined."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmarks.emulation import EmulatedProducts, as_tf32, float16_on_cpu, part_in
from qfae_monai.networks.precision import compute_dtype


class Mixer(nn.Module):
    """A convolution and a transformer block, the products that the networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(1, 32, 4, 4)
        self.block = Block(32, num_heads=4)

    def forward(self, image: Tensor) -> Tensor:
        return self.block(self.embed(image).flatten(2).transpose(1, 2))


def gradients(dtype: torch.dtype, *, emulated: bool) -> Tensor:
    network = Mixer()
    with torch.autocast("cpu", dtype=dtype):
        image = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
        if emulated:
            with EmulatedProducts():
                network(image).square().sum().backward()
        else:
            network(image).square().sum().backward()
    return torch.cat([weight.grad.flatten() for weight in network.parameters() if weight.grad is not None])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_emulated_products_are_those_of_the_format(dtype: torch.dtype) -> None:
    exact, native, emulated = (
        gradients(torch.float32, emulated=False),
        *(gradients(dtype, emulated=one) for one in (False, True)),
    )
    error = (native - exact).norm()
    assert error > 0
    assert (native - emulated).norm() < 0.75 * error
    assert (emulated - exact).norm() == pytest.approx(float(error), rel=0.4)


def test_float32_is_left_alone() -> None:
    left, right = torch.randn(2, 8, 8)
    with EmulatedProducts():
        torch.testing.assert_close(left @ right, left @ right, rtol=0, atol=0)
    expected = left @ right
    with EmulatedProducts(tf32=True):
        found = left @ right
    torch.testing.assert_close(found, as_tf32(left) @ as_tf32(right), rtol=0, atol=0)
    assert not torch.equal(found, expected)


# [float32, its TF32]
ROUNDED = [[1 + 2**-10, 1 + 2**-10], [1 + 2**-12, 1.0], [1 + 3 * 2**-11, 1 + 2**-9], [-1 - 2**-12, -1.0], [0.0, 0.0]]


@pytest.mark.parametrize(("value", "expected"), ROUNDED)
def test_tf32_keeps_ten_bits_of_mantissa(value: float, expected: float) -> None:
    assert float(as_tf32(torch.tensor([value]))) == expected


def test_one_part_runs_in_a_low_format_and_comes_out_in_float32() -> None:
    network, image = Mixer(), torch.randn(1, 1, 16, 16)
    expected = network(image)
    with part_in((Block,), torch.bfloat16):
        found = network(image)
    assert found.dtype == torch.float32
    assert 0 < float((found - expected).norm() / expected.norm()) < 0.02
    torch.testing.assert_close(network(image), expected, rtol=0, atol=0)


def test_float16_is_allowed_inside_only() -> None:
    with float16_on_cpu():
        from qfae_monai.networks import precision  # noqa: PLC0415

        assert precision.compute_dtype(torch.device("cpu"), "float16") == torch.float16
    with pytest.raises(ValueError, match="needs a CUDA device"):
        compute_dtype(torch.device("cpu"), "float16")
