"""Equalisation over non-zero pixels against the recipe written out value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.transforms import EqualizeNonzero


def recipe(values: np.ndarray, lift: bool) -> np.ndarray:
    """Per pixel, in exact integers: floor(255 * pixels up to this value / non-zero pixels), then the lift."""
    inside = values[values > 0]
    out = np.zeros_like(values)
    for place, value in np.ndenumerate(values):
        new = 255 * int((inside <= value).sum()) // inside.size
        if lift and 0 < new < 150:
            new = math.floor(new * 120 / 150 + 30)
        out[place] = new
    return out


@pytest.mark.parametrize("lift", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_recipe(lift: bool, seed: int) -> None:
    """257 pixels, a prime: no quotient is an integer but the last, where round-off may make 254 of 255."""
    rng = np.random.default_rng(seed)
    values = np.zeros((1, 20, 25), np.uint8)
    values.ravel()[rng.permutation(500)[:257]] = rng.normal(120, 40, 257).clip(1, 255)
    expected = recipe(values, lift)
    out = EqualizeNonzero((150, 30) if lift else None)(torch.from_numpy(values))
    np.testing.assert_array_equal(out[out < 254], expected[expected < 254])
    assert set(out[values == values.max()].tolist()) <= {254, 255}
    assert not out[values == 0].any()


def test_every_lifted_value() -> None:
    """One pixel for each of 1..255: the table is 1..255, or one lower where round-off tips; 1..149 become 30..149."""
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    flat = EqualizeNonzero(lift=None)(values).flatten().long()
    lifted = EqualizeNonzero()(values).flatten().long()
    assert ((flat - torch.arange(256)).abs() <= 1).all()
    dark = (flat > 0) & (flat < 150)
    assert torch.equal(lifted[dark], (flat[dark] * 120).div(150, rounding_mode="floor") + 30)
    assert torch.equal(lifted[~dark], flat[~dark])


def test_empty_image_stays_empty() -> None:
    assert not EqualizeNonzero()(torch.zeros(1, 4, 4, dtype=torch.uint8)).any()


def test_other_images_are_refused_by_name() -> None:
    img = MetaTensor(torch.zeros(1, 4, 4), meta={"filename_or_obj": "ct.png"})
    with pytest.raises(ValueError, match=r"ct.png: expected uint8 .* got float32"):
        EqualizeNonzero()(img)


@pytest.mark.parametrize("lift", [(30, 150), (256, 30), (150, -1)])
def test_bad_lift_is_refused(lift: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"knee {lift[0]}"):
        EqualizeNonzero(lift)
