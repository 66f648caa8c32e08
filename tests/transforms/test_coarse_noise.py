"""Coarse noise: inside the body alone, smooth, of the wanted strength, repeatable, and nothing when it is off."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qfae_monai.transforms import CoarseNoise
from qfae_monai.transforms.jitter import add_coarse_noise

MEAN, STD = 0.449, 0.226


def heads(count: int = 3, side: int = 64) -> torch.Tensor:
    """Grey squares on black."""
    images = torch.zeros(count, 1, side, side)
    images[..., 8:-8, 8:-8] = 0.5
    return images


def test_noise_is_inside_the_body_alone() -> None:
    images = heads()
    noisy = CoarseNoise(0.2).set_random_state(0)(images)
    body = images > 0
    assert (noisy[~body] == 0).all()
    assert (noisy[body] != 0.5).float().mean() > 0.99


def test_noise_has_the_wanted_strength_and_is_coarse() -> None:
    """A bilinear field between independent points has 4/9 of their variance on average (2/3 along each axis)."""
    noise = CoarseNoise(0.2, size=16).set_random_state(0)(torch.full((64, 1, 128, 128), 0.5)) - 0.5
    assert float(noise.std()) == pytest.approx(0.2 * 2 / 3, rel=0.05)
    assert float((noise[..., 1:] - noise[..., :-1]).std()) < float(noise.std()) / 3
    assert len(np.unique(noise[:, 0, 0, 0])) == 64  # an image, a draw


def test_each_image_has_its_own_noise_where_it_is_drawn() -> None:
    images, noise = heads(), torch.zeros(3, 1, 2, 2)
    noise[1] = 0.3
    found = add_coarse_noise(images, noise, level=0.02)
    assert torch.equal(found[[0, 2]], images[[0, 2]])
    torch.testing.assert_close(found[1], images[1] + 0.3 * (images[1] > 0))


def test_normalised_images_get_the_same_noise() -> None:
    images = heads()
    plain = CoarseNoise(0.2).set_random_state(5)(images)
    normalised = CoarseNoise(0.2, subtrahend=MEAN, divisor=STD).set_random_state(5)((images - MEAN) / STD)
    torch.testing.assert_close(normalised * STD + MEAN, plain, atol=1e-6, rtol=0)


def test_draws_are_seeded_and_repeated_on_request() -> None:
    corrupt = CoarseNoise(0.2).set_random_state(1)
    first = corrupt(heads())
    assert torch.equal(corrupt(heads(), randomize=False), first)
    assert not torch.equal(corrupt(heads()), first)
    assert torch.equal(CoarseNoise(0.2).set_random_state(1)(heads()), first)


def test_off_is_the_image_itself_and_draws_nothing() -> None:
    corrupt, images = CoarseNoise(0.0).set_random_state(0), heads()
    assert corrupt(images) is images
    assert corrupt.R.random_sample() == np.random.RandomState(0).random_sample()


@pytest.mark.parametrize("arguments", [{"std": -0.1}, {"std": 0.1, "size": 0}])
def test_impossible_noise_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"got std .* and size"):
        CoarseNoise(**arguments)  # type: ignore[arg-type]
