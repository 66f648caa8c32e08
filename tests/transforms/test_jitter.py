"""Brightness and contrast against torchvision's definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from qfae_monai.transforms import BrightnessContrast, RandBrightnessContrast, RandBrightnessContrastd

FACTORS = [(1.0, 1.0), (1.1, 0.9), (0.9, 1.1), (1.8, 1.0), (1.0, 0.0), (0.0, 1.5)]


@pytest.mark.parametrize(("brightness", "contrast"), FACTORS)
@pytest.mark.parametrize("contrast_first", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_torchvision(channels: int, brightness: float, contrast: float, contrast_first: bool) -> None:
    image = torch.rand(channels, 9, 7, generator=torch.Generator().manual_seed(1))
    out = BrightnessContrast()(image, brightness=brightness, contrast=contrast, contrast_first=contrast_first)
    if contrast_first:
        expected = tv.adjust_brightness(tv.adjust_contrast(image, contrast), brightness)
    else:
        expected = tv.adjust_contrast(tv.adjust_brightness(image, brightness), contrast)
    torch.testing.assert_close(out, expected)


def test_draws_are_in_range_in_both_orders() -> None:
    transform = RandBrightnessContrast(brightness=0.1, contrast=0.2)
    transform.set_random_state(0)
    drawn = []
    for _ in range(300):
        transform.randomize()
        drawn.append((transform.brightness, transform.contrast, float(transform.contrast_first)))
    brightness, contrast, contrast_first = np.array(drawn).T
    for values, half in ((brightness, 0.1), (contrast, 0.2)):
        assert 1 - half <= values.min() < 1 - 0.9 * half
        assert 1 + 0.9 * half < values.max() <= 1 + half
    assert 0.4 < contrast_first.mean() < 0.6


def test_keys_share_a_draw() -> None:
    image = torch.rand(1, 5, 5)
    out = RandBrightnessContrastd(("image", "copy")).set_random_state(2)({"image": image, "copy": image})
    assert torch.equal(out["image"], out["copy"])
    assert not torch.equal(out["image"], image)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_bad_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=str(value)):
        RandBrightnessContrast(brightness=value)
