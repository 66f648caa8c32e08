"""Masks of all kinds: two values, classes, JPEG, interpolation, and images that are none."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter, zoom

from qfae_monai.reading.lesion_values import lesion_of
from qfae_monai.transforms import LoadGreyImaged


def disc(size: int = 96) -> Any:
    y, x = np.mgrid[:size, :size]
    return np.hypot(x - size * 0.6, y - size * 0.4) < size * 0.1


def square(size: int = 96) -> Any:
    """As large as `disc`, straight edges off the blocks of a JPEG."""
    y, x = np.mgrid[:size, :size]
    return (abs(x - 57) < 9) & (abs(y - 38) < 9)


def jpeg(mask: Any, quality: int) -> Any:
    stream = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def nested() -> Any:
    """Classes around each other, a rim of one pixel among them."""
    y, x = np.mgrid[:64, :64]
    radius = np.hypot(x - 32, y - 32)
    return np.select([radius < 5, radius < 12, radius < 13], [4, 2, 1], 0)


def instances() -> Any:
    """40 small lesions, each with a number of its own."""
    mask = np.zeros((64, 64), np.uint8)
    for number in range(40):
        row, column = divmod(number, 8)
        mask[2 + 8 * row : 5 + 8 * row, 2 + 8 * column : 5 + 8 * column] = number + 1
    return mask


SHARP: list[Any] = [
    disc(),
    disc().astype(np.uint8) * 255,
    disc().astype(np.uint8) * 236,
    np.where(disc(), 1, -1).astype(np.int16),
    disc() * np.float32(0.99999997),
    nested(),
    nested().astype(np.float32),
    nested() * 60,
    instances(),
    np.where(disc(), 255, 2 * np.roll(square(), 40, axis=0)).astype(np.uint8),
    nested() * 60 + (nested() == 4) * 10,
    np.zeros((8, 8)),
    np.full((8, 8), -1),
    np.ones((8, 8)),
]


@pytest.mark.parametrize("mask", SHARP)
def test_above_zero_is_lesion_in_masks_with_edges(mask: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(lesion_of(mask, "mask.png"), mask > 0)


SMOOTH: list[Any] = [
    *(jpeg(disc(), quality) for quality in (30, 75, 95)),
    *(jpeg(square(), quality) for quality in (30, 75, 95)),
    zoom(disc(24).astype(float), 4, order=3),
    zoom(disc(48).astype(float) * 255, 2, order=1).astype(np.uint8),
    zoom(disc(24).astype(np.float32) * 100, 4, order=1),
]


@pytest.mark.parametrize("mask", SMOOTH)
def test_gradual_edges_are_cut_at_half_with_a_notice(mask: Any) -> None:
    with pytest.warns(UserWarning, match=r"mask.png: .* values from .* is taken as lesion"):
        found = lesion_of(mask, "mask.png")
    assert abs(int(found.sum()) - int(disc().sum())) < 0.15 * disc().sum()
    assert np.array_equal(found, mask >= (mask.min() + mask.max()) / 2)


REFUSED: list[list[Any]] = [
    [np.array([[1, 2], [2, 2]]), "0 .* outside .* values 1, 2"],
    [np.array([[-1, 0], [0, 0]]), "values -1, 0"],
    [np.array([[0, np.nan]]), "finite"],
    [gaussian_filter(np.random.default_rng(0).exponential(size=(64, 64)), 1), "an image of 4096 values"],
]


@pytest.mark.parametrize(("mask", "message"), REFUSED)
def test_what_is_no_mask_is_refused_with_its_values(mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"m\.png: expected .*{message}"):
        lesion_of(mask, "m.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_they_are_shown_and_masks_drawn_on_that(tmp_path: Path, orientation: int) -> None:
    """ImageOps.exif_transpose is Pillow's own."""
    stored = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "image.png", exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "image.png")))
    Image.fromarray((shown > 200).astype(np.uint8) * 255).save(tmp_path / "mask.png")
    found = LoadGreyImaged()({"image": tmp_path / "image.png", "label": tmp_path / "mask.png"})
    assert np.array_equal(found["image"][0].numpy(), shown)
    assert np.array_equal(found["label"][0].numpy(), shown > 200)
