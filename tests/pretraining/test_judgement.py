"""Judgement of a trained network by painted lesions: better than its untrained twin, or stopped in words."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from qfae_monai.anomaly import NormalImages
from qfae_monai.networks.grey import MEAN, STD
from qfae_monai.pretraining import NothingLearnedError, PaintedJudgement
from qfae_monai.pretraining.card import architecture
from qfae_monai.weights import create_vit
from tests.pretraining.conftest import small_trunk

NAME = "vit_tiny_patch16_224"


def bodies(count: int, *, seed: int) -> Tensor:
    """Smooth discs of differing sizes on a black ground, (N, 1, 32, 32), normalised."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] - 15.5
    grey = [0.5 * (np.hypot(y, x) < rng.uniform(12, 14)) * (1 + 0.1 * x / 16) for _ in range(count)]
    return (torch.tensor(np.stack(grey), dtype=torch.float32)[:, None] - MEAN) / STD


def normal_images(images: Tensor) -> NormalImages:
    return NormalImages(lambda: [{"image": image} for image in images])  # type: ignore[arg-type, return-value]


def judgement(trunk: VisionTransformer, *, held_out: Tensor | None = None, **changes: Any) -> PaintedJudgement:
    known, other = (
        normal_images(bodies(20, seed=0)),
        normal_images(bodies(12, seed=1) if held_out is None else held_out),
    )
    return PaintedJudgement(trunk, NAME, known, other, level=0.01, seed=3, **changes)


def blind() -> VisionTransformer:
    """A network that sees no image: nothing tells a lesion."""
    trunk = small_trunk()
    with torch.no_grad():
        trunk.get_parameter("patch_embed.proj.weight").zero_()
    return trunk


def seeing() -> VisionTransformer:
    """The twin without its positions: its tokens hold the patch alone, and little of a lesion is lost."""
    trunk = small_trunk()
    trunk.load_state_dict(create_vit(**architecture(NAME, trunk), seed=3, positions="sincos").state_dict())
    with torch.no_grad():
        trunk.get_parameter("pos_embed").zero_()
    return trunk


def test_a_network_above_its_twin_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    found = judgement(seeing())
    with caplog.at_level(logging.INFO):
        found()
    figures = found.figures
    assert 200 < figures["lesions"] <= 240  # those without any change to see are left out
    assert figures["auroc"] > figures["untrained_twin"] > 0.5
    assert figures["summary"] in caplog.text
    trained, twin = (f"{figures[name]:.3f}" for name in ("auroc", "untrained_twin"))
    assert figures["summary"] == f"judged by {figures['lesions']} painted lesions: {trained}, untrained twin {twin}"
    assert set(figures["by_kind"]) == {"bright", "dark", "haze", "blurred", "coarse", "displaced"}


def test_the_twin_itself_has_gained_nothing() -> None:
    trunk = small_trunk()
    trunk.load_state_dict(create_vit(**architecture(NAME, trunk), seed=3, positions="sincos").state_dict())
    found = judgement(trunk)
    with pytest.raises(NothingLearnedError, match="would be no better than random ones"):
        found()
    assert found.figures["auroc"] == found.figures["untrained_twin"]
    assert trunk.training  # as it was


def test_a_blind_network_is_stopped_with_what_to_do() -> None:
    with pytest.raises(NothingLearnedError) as error:
        judgement(blind())()
    for word in ("untrained twin 0.9", "mae_images", "dino_images", "qfae weights fetch", "least_gain=null"):
        assert word in str(error.value)


def test_the_least_gain_is_above_the_twin() -> None:
    judgement(seeing(), least_gain=0.0)()
    with pytest.raises(NothingLearnedError, match=r"more than 0\.9 above"):
        judgement(seeing(), least_gain=0.9)()


@pytest.mark.parametrize("least", ["", "$None", "0.1", True])
def test_a_least_gain_that_is_no_number_is_refused_before_the_training(least: Any) -> None:
    with pytest.raises(ValueError, match=r"^least_gain: expected a number or null, got "):
        judgement(small_trunk(), least_gain=least)


def test_null_keeps_the_network_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    found = judgement(blind(), least_gain=None)
    found()
    assert found.figures["auroc"] == pytest.approx(0.5, abs=0.02)  # by rounding alone
    assert "no better than random ones, and are kept" in caplog.text


def test_values_that_are_not_finite_are_no_gain() -> None:
    trunk = small_trunk()
    with torch.no_grad():
        trunk.get_parameter("pos_embed").fill_(math.nan)
    with pytest.raises(NothingLearnedError, match="lesions: not finite, untrained twin 0"):
        judgement(trunk)()


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (bodies(9, seed=1), "expected at least 10 held-out images, got 9"),
        (torch.full((12, 1, 32, 32), -MEAN / STD), "expected a body to paint lesions into, got none in 12"),
    ],
)
def test_nothing_to_judge_by_is_a_warning(held_out: Tensor, message: str, caplog: pytest.LogCaptureFixture) -> None:
    found = judgement(blind(), held_out=held_out)
    found()
    assert message in caplog.text
    assert message in found.figures["summary"]
    assert "auroc" not in found.figures
