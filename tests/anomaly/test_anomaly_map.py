"""From maps to a map and a score: every reduction, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qfae_monai.anomaly import AnomalyScorer


class GivenMaps(nn.Module):
    """One image, two layers: maxima 4 and 6, means 2.5 and 3."""

    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[6.0, 2.0], [2.0, 2.0]]]])

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return self.maps


MEAN_MAP, MAX_MAP = [[3.5, 2.0], [2.5, 3.0]], [[6.0, 2.0], [3.0, 4.0]]

# [arguments, score, anomaly map]
TEST_CASES: list[list[Any]] = [
    [{}, 5.0, MEAN_MAP],
    [{"score_over_layers": "max"}, 6.0, MEAN_MAP],
    [{"score_over_pixels": "mean"}, 2.75, MEAN_MAP],
    [{"score_over_pixels": "mean", "score_over_layers": "max"}, 3.0, MEAN_MAP],
    [{"map_over_layers": "max"}, 5.0, MAX_MAP],
]


@pytest.mark.parametrize(("arguments", "score", "anomaly_map"), TEST_CASES)
def test_reductions(arguments: dict[str, Any], score: float, anomaly_map: list[list[float]]) -> None:
    image = torch.zeros(1, 1, 2, 2)
    result = AnomalyScorer(GivenMaps(), **arguments)(image, image)
    torch.testing.assert_close(result.score, torch.tensor([score]))
    torch.testing.assert_close(result.anomaly_map, torch.tensor([[anomaly_map]]))


@pytest.mark.parametrize("channels", [1, 3])
def test_with_a_pixel_loss(channels: int) -> None:
    image = torch.zeros(2, channels, 4, 4)
    reconstruction = torch.zeros(2, 3, 4, 4, requires_grad=True)
    image[1, :, 2, 3] = 1
    result = AnomalyScorer(nn.L1Loss(reduction="none"))(image, reconstruction)
    assert result.score.tolist() == [0.0, 1.0]
    assert result.anomaly_map.shape == (2, 1, 4, 4)
    assert int(result.anomaly_map[1].argmax()) == 2 * 4 + 3
    assert not result.score.requires_grad


@pytest.mark.parametrize("name", ["score_over_pixels", "score_over_layers", "map_over_layers"])
def test_refuses_an_unknown_reduction(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*'max'.*'mean'.*, got 'median'"):
        AnomalyScorer(GivenMaps(), **{name: "median"})  # type: ignore[arg-type]


def test_refuses_a_distance_that_returns_a_scalar() -> None:
    with pytest.raises(ValueError, match="needs reduction 'none', got 'mean'"):
        AnomalyScorer(nn.L1Loss())


def test_smoothing_spreads_a_pixel_and_keeps_its_place() -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[..., 8, 5] = 1.0
    sharp, smooth = (
        AnomalyScorer(nn.L1Loss(reduction="none"), smoothing=deviation)(image, torch.zeros_like(image))
        for deviation in (0.0, 1.5)
    )
    assert float(smooth.anomaly_map.max()) < 0.2 * float(sharp.anomaly_map.max())
    assert int(smooth.anomaly_map.argmax()) == int(sharp.anomaly_map.argmax())
    with pytest.raises(ValueError, match="smoothing must be at least 0, got -1"):
        AnomalyScorer(nn.L1Loss(reduction="none"), smoothing=-1)
