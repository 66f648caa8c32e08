"""Held-out normals tell a model that learned from one that did not, by the mean image and by constant maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor, nn

from qfae_monai.anomaly import NormalImages
from qfae_monai.training import HeldOutCheck


class Reconstruction(nn.Module):
    """A network that is a function; remembers in which mode it was called."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.modes: set[bool] = set()

    def forward(self, image: Tensor) -> Tensor:
        self.modes.add(self.training)
        return self.function(image).expand(-1, 3, -1, -1)


class Distance(nn.Module):
    """Squared difference, as maps (B, 1, H, W)."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return (input - target).square().mean(dim=1, keepdim=True)


class Loss(Distance):
    """Its mean."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return super().forward(input, target).mean()


def normals(seed: int, count: int = 20) -> NormalImages:
    images = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return NormalImages(lambda: [{"image": image} for image in images])  # type: ignore[arg-type, return-value]


def check(function: Callable[[Tensor], Tensor], *, count: int = 20) -> HeldOutCheck:
    found = HeldOutCheck(
        Reconstruction(function),
        Loss(),
        Distance(),
        reference=normals(0),
        held_out=normals(1, count),
        device=torch.device("cpu"),
    )
    engine = Engine(lambda engine, batch: None)
    found.attach(engine)
    engine.run([0])
    return found


MEAN = normals(0).images.mean(dim=0, keepdim=True)

# [reconstruction of an image, what is said of it]
TEST_CASES: list[list[Any]] = [
    [lambda image: 0.9 * image, None],
    [MEAN.expand_as, "no better than the mean training image"],
    [torch.zeros_like, "no better than the mean training image"],
    [lambda image: image * torch.nan, "no better than the mean training image"],
    [lambda image: image, "maps of held-out normal images are constant"],
    [lambda image: image + 0.1, "maps of held-out normal images are constant"],
    [lambda image: image + torch.linspace(0, 0.1, 6), "all the same"],
]


@pytest.mark.parametrize(("function", "expected"), TEST_CASES)
def test_what_is_said_of_a_model(
    caplog: pytest.LogCaptureFixture, function: Callable[[Tensor], Tensor], expected: str | None
) -> None:
    found = check(function)
    if expected is None:
        assert found.warnings == []
        return
    assert expected in found.warnings[0]
    assert expected in caplog.text


def test_figures_are_means_over_images() -> None:
    found = check(lambda image: 0.9 * image).figures
    assert found is not None
    held_out = normals(1).images
    assert found.images == 20
    assert found.distance == pytest.approx(float((0.1 * held_out).square().mean()), rel=1e-5)
    assert found.mean_image_distance == pytest.approx(float((MEAN - held_out).square().mean()), rel=1e-5)


def test_one_image_says_nothing_of_others() -> None:
    found = check(lambda image: image + torch.linspace(0, 0.1, 6), count=1)
    assert found.warnings == []
    assert found.figures is not None
    assert found.figures.map_spread_over_images is None


def test_the_network_is_looked_at_in_eval_mode_and_left_as_it_was() -> None:
    found = check(lambda image: 0.9 * image)
    assert isinstance(found.network, Reconstruction)
    assert found.network.modes == {False}
    assert found.network.training
