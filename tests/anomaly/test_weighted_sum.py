"""Weighted sum of losses: the plain sum, and the released rule that averages over maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.losses import SSIMLoss
from torch import Tensor, nn

from qfae_monai.anomaly import WeightedSumLoss


class FourMaps(nn.Module):
    """Stands for a perceptual loss of four blocks whose maps are all 10."""

    num_maps = 4

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return input.new_tensor(10.0)


# [losses, weights, average, expected for an L1 distance of 2]
TEST_CASES: list[list[Any]] = [
    [[nn.L1Loss()], [0.5], "none", 1.0],
    [[nn.L1Loss(), nn.MSELoss()], [1.0, 2.0], "none", 2.0 + 2 * 4.0],
    [[nn.L1Loss(), nn.MSELoss()], [1.0, 2.0], "maps", (2.0 + 2 * 4.0) / 2],
    [[nn.L1Loss(), FourMaps()], [0.5, 0.5], "maps", (0.5 * 2 + 4 * 0.5 * 10) / 5],
    [[nn.L1Loss(), FourMaps()], [0.5, 0.5], "none", 0.5 * 2 + 0.5 * 10],
]


@pytest.mark.parametrize(("losses", "weights", "average", "expected"), TEST_CASES)
def test_value(losses: list[nn.Module], weights: list[float], average: Any, expected: float) -> None:
    input, target = torch.full((2, 3, 4, 4), 3.0), torch.ones(2, 1, 4, 4)  # a grey target, three channels made of it
    assert float(WeightedSumLoss(losses, weights, average=average)(input, target)) == pytest.approx(expected)


def test_with_ssim_of_monai() -> None:
    image, other = torch.rand(2, 1, 3, 16, 16)
    loss = WeightedSumLoss([SSIMLoss(2, data_range=1.0, win_size=7), nn.MSELoss()], [1.0, 1.0], average="none")
    assert float(loss(image, image)) == pytest.approx(0, abs=1e-6)
    assert float(loss(other, image)) > 0.1


@pytest.mark.parametrize(
    ("losses", "weights", "average", "message"),
    [
        ([nn.L1Loss()], [1.0, 2.0], "maps", "got 1 losses and 2 weights"),
        ([], [], "maps", "got 0 losses and 0 weights"),
        ([nn.L1Loss()], [1.0], "layers", "average must be 'maps' or 'none', got 'layers'"),
    ],
)
def test_errors(losses: list[nn.Module], weights: list[float], average: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeightedSumLoss(losses, weights, average=average)
