"""Volumes that would be silently wrong are refused, each by the name of its file."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.transforms import CheckVolume, CheckVolumed


def volume(shape: tuple[int, ...] = (1, 3, 4, 5), *, name: str = "flair.nii.gz", shift: float = 0.0) -> MetaTensor:
    affine = torch.eye(4, dtype=torch.float64)
    affine[0, 3] = shift
    values = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    return MetaTensor(values, affine=affine, meta={"filename_or_obj": name})


def with_voxel(value: float) -> MetaTensor:
    img = volume()
    img[0, 1, 1, 1] = value
    return img


BAD_VOLUMES = [
    [with_voxel(float("nan")), "1 of 60 NaN or infinite"],
    [with_voxel(float("-inf")), "1 of 60 NaN or infinite"],
    [volume() * 0 + 7, "got 7 in every voxel"],
    [volume((3, 4, 5)), r"got shape \(3, 4, 5\)"],
    [volume((2, 3, 4, 5)), r"got shape \(2, 3, 4, 5\)"],  # a 4D file comes with its time as channels
    [volume((1, 3, 4, 5, 2)), r"got shape \(1, 3, 4, 5, 2\)"],
    [volume((1, 0, 4, 5)), r"got shape \(1, 0, 4, 5\)"],
]


@pytest.mark.parametrize(("img", "message"), BAD_VOLUMES)
def test_bad_volume_is_refused_by_name(img: MetaTensor, message: str) -> None:
    with pytest.raises(ValueError, match=rf"flair.nii.gz.*{message}"):
        CheckVolume()(img)


def test_good_volume_passes_unchanged() -> None:
    img, label = volume(), volume(name="seg.nii.gz", shift=5e-4) * 0
    out = CheckVolumed()({"image": img, "label": label, "case": "a"})
    assert out["image"] is img
    assert out["label"] is label


def test_label_may_be_missing_but_the_image_may_not() -> None:
    assert set(CheckVolumed()({"image": volume()})) == {"image"}
    with pytest.raises(KeyError, match=r"'image'.*label"):
        CheckVolumed()({"label": volume()})


def test_label_of_other_shape_is_refused_by_both_names() -> None:
    label = volume((1, 3, 4, 4), name="seg.nii.gz")
    with pytest.raises(ValueError, match=r"seg.nii.gz.*flair.nii.gz.*\(1, 3, 4, 4\) and \(1, 3, 4, 5\)"):
        CheckVolumed()({"image": volume(), "label": label})


def test_label_on_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seg.nii.gz.*difference of 2"):
        CheckVolumed()({"image": volume(), "label": volume(name="seg.nii.gz", shift=2.0)})


def test_label_with_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        CheckVolumed()({"image": volume(), "label": with_voxel(float("nan"))})
