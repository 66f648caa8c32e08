"""Pooling of a map over its pixels."""

from __future__ import annotations

import pytest
import torch

from qfae_monai.anomaly.pooling import PixelPooling

MAPS = torch.arange(16.0).reshape(1, 1, 4, 4)
IMAGE = (MAPS < 8).float() - 0.5  # the first half is body


@pytest.mark.parametrize(
    ("how", "share", "above", "expected"),
    [
        ("max", 1.0, None, 15.0),
        ("mean", 1.0, None, 7.5),
        ("top", 0.25, None, 13.5),  # of 12 to 15
        ("top", 0.01, None, 15.0),  # one pixel at least
        ("top", 1.0, None, 7.5),
        ("max", 1.0, 0.0, 7.0),
        ("mean", 1.0, 0.0, 3.5),
        ("top", 0.25, 0.0, 6.5),  # a quarter of the body's 8 pixels
    ],
)
def test_numbers(how: str, share: float, above: float | None, expected: float) -> None:
    assert PixelPooling(how, share=share, above=above)(MAPS, IMAGE).tolist() == [[expected]]  # type: ignore[arg-type]


def test_bodies_of_different_size_in_a_batch_are_pooled_each_by_itself() -> None:
    images = torch.cat([IMAGE, torch.ones_like(IMAGE), -torch.ones_like(IMAGE)])
    pool = PixelPooling("top", share=0.25, above=0.0)
    # an image without a body counts as a whole
    assert pool(MAPS.expand(3, 1, 4, 4), images)[:, 0].tolist() == [6.5, 13.5, 13.5]


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"score_share must be in \(0, 1\], got"):
        PixelPooling("top", share=share)


def test_a_body_of_colours_is_in_any_of_their_channels() -> None:
    image = torch.full((1, 3, 1, 2), -1.0)
    image[0, 2, 0, 1] = 1.0  # blue
    maps = torch.tensor([[[[5.0, 2.0]]]])
    assert PixelPooling("max", above=0.0)(maps, image).item() == 2.0
