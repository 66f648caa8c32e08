"""Slices of a volume that keeps its whole numbers, against the same transforms on the whole volume in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    Lambdad,
    MapTransform,
    NormalizeIntensityd,
    Orientationd,
    ScaleIntensityRanged,
    Spacingd,
)

from qfae_monai.reading import LoadSeriesd
from qfae_monai.reading.background import background_of
from qfae_monai.transforms import CheckVolumed, ScaleIntensityForegroundPercentilesd, SliceChoice
from qfae_monai.transforms.foreground import percentiles
from qfae_monai.transforms.grey_slices import GreySlices, SlicedVolume

GRID = np.diag([-0.5, 0.5, -2.0, 1.0])  # two axes are turned to reach RAS
ON_GRID = [CheckVolumed(), Orientationd("image", axcodes="RAS", labels=None)]
NUMBERS: dict[str, Any] = {"subtrahend": 0.449, "divisor": 0.226}
NORMALIZE = NormalizeIntensityd("image", **NUMBERS)
BY_PERCENTILES = ScaleIntensityForegroundPercentilesd("image", 0.5, 99.5)
BY_WINDOW = ScaleIntensityRanged("image", -200, 250, 0.0, 1.0, clip=True)


def voxels(kind: str, dtype: Any) -> np.ndarray:
    """(9, 12, 10) in Fortran's order, as files have it: a body on a constant background, on noise, or of air and HU."""
    random = np.random.default_rng(3)
    x, y, z = np.ogrid[tuple(slice(-1, 1, side * 1j) for side in (9, 12, 10))]
    inside = x**2 + y**2 + z**2 < 0.9
    body, around = {
        "masked": (random.normal(90, 20, inside.shape), 0),
        "noisy": (random.normal(90, 20, inside.shape), random.integers(1, 6, inside.shape)),
        "air": (random.normal(40, 30, inside.shape), -1000 + random.normal(0, 3, inside.shape)),
    }[kind]
    values = np.where(inside, body, around).round()
    return np.asfortranarray(values.clip(max(np.iinfo(dtype).min, -2000), np.iinfo(dtype).max).astype(dtype))


def image(array: np.ndarray) -> MetaTensor:
    held = array.astype(np.int32) if array.dtype == np.uint16 else array
    return MetaTensor(torch.as_tensor(held)[None], affine=torch.as_tensor(GRID), meta={"filename_or_obj": "a.nii"})


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("scale", [BY_PERCENTILES, BY_WINDOW], ids=["percentiles", "window"])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("masked", np.int16), ("masked", np.uint8), ("noisy", np.uint16), ("air", np.int16), ("air", np.int32)],
)
def test_slices_are_those_of_the_volume_transformed_whole(
    kind: str, dtype: Any, scale: MapTransform, axis: int
) -> None:
    chain = Compose([Compose([*ON_GRID, scale]), NORMALIZE])
    whole = chain({"image": image(voxels(kind, dtype)).float()})["image"].as_tensor()
    found, slices = SlicedVolume(chain, axis)({"image": image(voxels(kind, dtype))})
    assert not found["image"].is_floating_point()
    expected = GreySlices(whole, axis)
    assert torch.equal(slices[torch.arange(len(slices))], expected[torch.arange(len(slices))])
    assert slices.extremes == expected.extremes
    assert slices.background.floor == pytest.approx(expected.background.floor, rel=1e-12)
    for chosen, wanted in zip(SliceChoice(axis=axis)(slices), SliceChoice(axis=axis)(whole), strict=True):
        assert torch.equal(chosen, wanted)


@pytest.mark.parametrize(
    "chain",
    [
        Compose([*ON_GRID, Spacingd("image", (1.0, 1.0, 2.0)), BY_PERCENTILES]),  # interpolates: numbers are others
        Compose([*ON_GRID, NormalizeIntensityd("image")]),  # by its own mean
        Compose([*ON_GRID, BY_WINDOW, Lambdad("image", lambda img: img / img.max())]),
        Compose(ON_GRID),
    ],
)
def test_any_other_chain_transforms_the_volume_whole(chain: Compose) -> None:
    whole = chain({"image": image(voxels("masked", np.int16)).float()})["image"]
    found, slices = SlicedVolume(chain, 2)({"image": image(voxels("masked", np.int16))})
    assert found["image"].dtype == torch.float32
    assert torch.equal(slices.stored, whole.as_tensor()[0].movedim(2, 0))


def test_numbers_too_far_apart_for_a_table_are_floats() -> None:
    far = voxels("masked", np.int32)
    far[4, 4, 4] = 1 << 20
    found, _ = SlicedVolume(Compose([*ON_GRID, BY_WINDOW]), 2)({"image": image(far)})
    assert found["image"].dtype == torch.float32


def test_files_are_read_as_stored(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(voxels("air", np.int16), GRID), tmp_path / "ct.nii.gz")
    keys = ["image", "label"]
    chain = Compose([LoadSeriesd(keys, allow_missing_keys=True), *ON_GRID, BY_WINDOW])
    found, slices = SlicedVolume(chain, 2)({"image": str(tmp_path / "ct.nii.gz")})
    assert found["image"].dtype == torch.int16
    whole = chain({"image": str(tmp_path / "ct.nii.gz")})["image"]
    assert whole.dtype == torch.float32
    assert torch.equal(slices[torch.arange(10)], whole.as_tensor()[0].movedim(2, 0))


@pytest.mark.parametrize("share", [(0.5, 99.5), (0, 100), (25, 50), (33.3, 66.7)])
def test_percentiles_of_counted_values_are_those_of_all(share: tuple[float, float]) -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        values = random.integers(-30, 30, size=int(random.integers(1, 400))).astype(np.float32) / np.float32(7)
        levels, counts = np.unique(values, return_counts=True)
        assert percentiles(levels, *share, counts=counts) == percentiles(values, *share)


@pytest.mark.parametrize("kind", ["masked", "noisy", "air"])
def test_background_of_counted_values_is_that_of_all(kind: str) -> None:
    values = voxels(kind, np.int16)
    levels, counts = np.unique(values, return_counts=True)
    assert background_of(levels, counts) == background_of(values)


def test_a_volume_in_any_memory_order_is_scaled_alike() -> None:
    values = voxels("noisy", np.int16).astype(np.float32)
    mask = np.ascontiguousarray(values > 20).astype(np.float32)  # in another order than the volume
    scale = ScaleIntensityForegroundPercentilesd("image", 1, 99, mask_key="mask")
    both = [
        scale({"image": torch.as_tensor(array)[None], "mask": torch.as_tensor(mask)[None]})["image"]
        for array in (values, np.ascontiguousarray(values))
    ]
    assert torch.equal(*both)
