"""Foreground percentiles: every voxel counts, and the transform scales by the same two numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, zoom

from qfae_monai.reading.background import background_of, evenly_taken
from qfae_monai.transforms import ScaleIntensityForegroundPercentiles, foreground_mask
from qfae_monai.transforms.foreground import foreground_percentiles


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_large_volumes_count_every_voxel(dtype: Any) -> None:
    array = np.random.default_rng(0).integers(0, 99, (160, 130, 120)).astype(dtype)
    array[::2, ::2, ::2] = 0  # what a sample of every 2nd voxel would see
    assert array.size > 1 << 21
    assert foreground_percentiles(array, 0.5, 99.5) == tuple(np.percentile(array[array > 0], [0.5, 99.5]))


def test_order_of_storage_does_not_count() -> None:
    array = np.random.default_rng(0).random((9, 8, 7))
    assert foreground_percentiles(np.asfortranarray(array), 1, 99) == foreground_percentiles(array, 1, 99)


def test_the_transform_scales_by_the_same_numbers() -> None:
    array = np.random.default_rng(0).normal(100, 30, (1, 20, 21, 22)).astype(np.float32)
    array[:, :9] = array.min()
    low, high = foreground_percentiles(array, 2, 98)
    floor = background_of(array).floor
    expected = ((array - np.float32(low)) / np.float32(high - low)).clip(0, 1) * (array > floor)
    assert np.array_equal(foreground_mask(torch.from_numpy(array)).numpy(), array > floor)
    found = ScaleIntensityForegroundPercentiles(2, 98)(torch.from_numpy(array))
    assert np.allclose(np.asarray(found), expected, rtol=0, atol=1e-6)


REFUSED: list[list[Any]] = [
    [np.arange(8.0), 60, 40, "lower < upper"],
    [np.array([1.0, np.nan]), 1, 99, "finite voxels that vary"],
    [np.array([1.0, np.inf]), 1, 99, "finite voxels that vary"],
    [np.ones(8), 1, 99, "got 1 to 1"],
]


@pytest.mark.parametrize(("array", "lower", "upper", "message"), REFUSED)
def test_what_has_no_percentiles_is_refused(array: Any, lower: float, upper: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        foreground_percentiles(array, lower, upper)


def head(dtype: Any = np.float32) -> Any:
    """A ball of smooth tissue around 600 with a lesion of 1500 in a background of zero, (32, 32, 32)."""
    x, y, z = np.mgrid[-1:1:32j, -1:1:32j, -1:1:32j]
    radius = np.sqrt(x**2 + y**2 + z**2)
    texture = gaussian_filter(np.random.default_rng(0).uniform(-6000, 7200, radius.shape), 2.0).clip(1)
    return np.where(radius < 0.2, 1500, np.where(radius < 0.7, texture, 0)).astype(dtype)


def overshot(order: int, offset: float = 0.0, dtype: Any = np.float32) -> tuple[Any, float]:
    """The ball resampled by splines, and the share of it that is tissue."""
    volume = zoom(head(), 2, order=order)
    return (volume + offset).astype(dtype), float((head() > 0).mean())


OVERSHOT: list[list[Any]] = [
    [3, 0.0, np.float32, "zero"],
    [5, 0.0, np.float32, "zero"],
    [3, 0.0, np.int16, "zero"],
    [3, 100.0, np.float32, "most frequent"],
    [3, -250.0, np.float64, "most frequent"],
]


@pytest.mark.parametrize(("order", "offset", "dtype", "rule"), OVERSHOT)
def test_overshoot_is_no_background(order: int, offset: float, dtype: Any, rule: str) -> None:
    volume, tissue = overshot(order, offset, dtype)
    found = background_of(volume)
    assert found.rule == rule
    assert found.value == pytest.approx(offset, abs=0.1)
    assert found.share_below > 0
    assert tissue <= found.foreground(volume).mean() < 1.7 * tissue  # and some of the ringing around it
    assert "of the voxels lie below it" in str(found)


def test_lesions_of_overshot_volumes_are_not_clipped_to_white() -> None:
    """The percentile of all voxels that are above the least was 1,000 below that of tissue."""
    volume, _ = overshot(3)
    scaled = ScaleIntensityForegroundPercentiles()(torch.from_numpy(volume)[None]).numpy()[0]
    plain = ScaleIntensityForegroundPercentiles()(torch.from_numpy(head())[None]).numpy()[0]
    assert abs((scaled == 1).mean() - (plain == 1).mean()) < 0.01
    assert (scaled[volume < 0] == 0).all()


def test_z_scores_around_a_background_of_zero_keep_dark_tissue() -> None:
    tissue = head() > 0
    volume = np.where(tissue, (head() - head()[tissue].mean()) / head()[tissue].std(), 0)
    found = background_of(volume)
    assert (found.rule, found.value) == ("zero", 0.0)
    assert (found.foreground(volume) != tissue).mean() < 1e-3  # tissue of the mean itself


def test_a_background_that_is_the_minimum_stays_it() -> None:
    """As it was: one constant, noise without a constant, air of CT, 8 bits, and a bright value that saturates."""
    generator = np.random.default_rng(0)
    noise = np.abs(generator.normal(0, 8, head().shape) + 1j * generator.normal(0, 8, head().shape))
    air = np.where(head() > 0, 30, -1000) + generator.normal(0, 15, head().shape)
    for volume in (
        head(),
        head() - 3,
        (head() + noise).astype(np.float32),
        np.rint(head() + noise).astype(np.int16),
        ((head() + noise) / 8).clip(0, 255).astype(np.uint8),
        np.rint(air).astype(np.int16),
        np.minimum(head() + noise + 1, 300),
        np.where(head() > 0, 30, -1024),
    ):
        low, high = float(volume.min()), float(volume.max())
        found = background_of(volume)
        assert (found.value, found.ceiling) == (low, None)
        assert np.array_equal(found.foreground(volume), volume > low + 1e-5 * (high - low))


def test_tensors_and_arrays_have_one_background() -> None:
    volume, _ = overshot(3)
    tensor = torch.from_numpy(volume)
    assert background_of(tensor) == background_of(volume)
    assert np.array_equal(foreground_mask(tensor).numpy(), background_of(volume).foreground(volume))


def test_few_voxels_are_taken_evenly() -> None:
    array = np.zeros((8, 8, 8))
    array[..., 0] = 1
    assert evenly_taken(array, 100).mean() == pytest.approx(1 / 8, abs=0.02)
    assert evenly_taken(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
