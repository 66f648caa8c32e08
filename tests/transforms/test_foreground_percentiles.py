"""Foreground percentiles: every voxel counts, and the transform scales by the same two numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from qfae_monai.transforms import ScaleIntensityForegroundPercentiles, foreground_mask
from qfae_monai.transforms.foreground_percentiles import foreground_floor, foreground_percentiles


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
    floor = foreground_floor(float(array.min()), float(array.max()))
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
