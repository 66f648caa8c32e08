"""What tells a collapsed network from one that works: spread of features, information of assignments; and the stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from qfae_monai.anomaly import NormalImages
from qfae_monai.pretraining import AssignmentInformation, CollapseCheck, CollapseError, FeatureFigures
from tests.pretraining.conftest import small_trunk


def information(said: Tensor) -> float:
    metric = AssignmentInformation(lambda pred: pred)
    metric.reset()
    for part in said.chunk(2):
        metric.update((part, part.clamp(min=1e-12).log()))
    return metric.compute()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (torch.full((8, 4), 0.25), 0.0),  # all prototypes alike
        (torch.eye(4)[torch.zeros(8, dtype=torch.long)], 0.0),  # one for all
        (torch.eye(4)[torch.arange(8) % 4], math.log(4)),  # a quarter of the images each
    ],
)
def test_both_collapses_say_nothing(said: Tensor, expected: float) -> None:
    assert information(said) == pytest.approx(expected, abs=1e-6)


def test_information_of_no_image_is_an_error() -> None:
    metric = AssignmentInformation(lambda pred: pred)
    metric.reset()
    with pytest.raises(ValueError, match="got none"):
        metric.compute()


def test_features_of_a_collapsed_trunk_do_not_spread(images: Tensor) -> None:
    def reference() -> Any:
        return [{"image": image} for image in images]

    def figures(change: Callable[[torch.nn.Module], object]) -> dict[str, float]:
        trunk = small_trunk()
        with torch.no_grad():
            change(trunk)
        engine: Any = SimpleNamespace(state=SimpleNamespace(metrics={}))
        FeatureFigures(trunk, NormalImages(reference), NormalImages(reference))(engine)
        assert trunk.training
        return engine.state.metrics

    healthy = figures(lambda trunk: None)
    assert healthy["spread_over_images"] > 0.1
    assert healthy["spread_over_patches"] > 0.1
    assert healthy["neighbour_score"] == pytest.approx(0, abs=1e-2)  # the images are known
    blind = figures(lambda trunk: trunk.get_submodule("patch_embed.proj").weight.zero_())  # type: ignore[operator]
    assert blind["spread_over_images"] < 1e-3
    assert blind["spread_over_patches"] > 0.1
    constant = figures(lambda trunk: [parameter.zero_() for parameter in trunk.parameters()])
    assert constant["spread_over_patches"] < 1e-3


@pytest.mark.parametrize("low", [0.001, math.nan])
def test_the_run_stops_when_a_figure_stays_below_its_floor(low: float) -> None:
    check = CollapseCheck({"spread": 0.01}, patience=2)
    engine: Any = SimpleNamespace(state=SimpleNamespace(metrics={}, epoch=7))
    for found in (0.5, low, 0.5, low):
        engine.state.metrics["spread"] = found
        check(engine)
    with pytest.raises(CollapseError, match=r"epoch 7: expected spread of at least 0\.01"):
        check(engine)


def test_patience_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="patience"):
        CollapseCheck({}, patience=0)
