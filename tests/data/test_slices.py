"""Slices of volumes: which are taken, what they hold, and which volumes are refused."""

from __future__ import annotations

import gzip
import logging
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged, ScaleIntensityd

from qfae_monai.data import SliceDataset
from qfae_monai.reading import LoadSeriesd
from qfae_monai.transforms import (
    CheckVolumed,
    RandResizedCropRotateFlipd,
    ScaleIntensityForegroundPercentilesd,
)

LOAD = Compose([LoadImaged(("image", "label"), ensure_channel_first=True, allow_missing_keys=True)])
SHAPE = (6, 5, 8)
EMPTY = (0, 7)  # slices without foreground
LESION = (3, 4)  # slices with a lesion


def write(path: Path, values: np.ndarray) -> str:
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), path)
    return str(path)


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    """A volume whose voxels (x, y, z) hold 100 x + 10 y + z + 1, and 0 in the empty slices."""
    x, y, z = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    image = 100 * x + 10 * y + z + 1
    image[..., list(EMPTY)] = 0
    label = np.zeros(SHAPE)
    label[2, 3, list(LESION)] = 4  # a class of a multi-class mask
    return {
        "image": write(tmp_path / "a.nii.gz", image),
        "label": write(tmp_path / "a_seg.nii.gz", label),
        "case": "a",
    }


TAKEN: list[list[Any]] = [
    [{}, [1, 2, 3, 4, 5, 6]],
    [{"normal_only": True}, [1, 2, 5, 6]],
    [{"index_range": (2, 3)}, [2, 3]],
    [{"index_range": (5, 100)}, [5, 6]],
    [{"normal_only": True, "index_range": (4, 5)}, [5]],
    [{"share": (0.5, 1.0)}, [4, 5, 6]],
    [{"normal_only": True, "share": (0.0, 0.5)}, [1, 2]],
    [{"axis": 0}, [0, 1, 2, 3, 4, 5]],
    [{"axis": 1, "index_range": (0, 1)}, [0, 1]],
]


@pytest.mark.parametrize(("arguments", "expected"), TAKEN)
def test_wanted_slices_are_taken(entry: dict[str, Any], arguments: dict[str, Any], expected: list[int]) -> None:
    dataset = SliceDataset([entry], LOAD, **arguments)
    assert [sample["slice_index"] for sample in dataset.data] == expected
    assert len(dataset) == len(expected)


def test_sample_holds_its_slice(entry: dict[str, Any]) -> None:
    sample = SliceDataset([entry], LOAD)[2]
    x, y = torch.meshgrid(torch.arange(6.0), torch.arange(5.0), indexing="ij")
    assert type(sample["image"]) is torch.Tensor
    assert torch.equal(sample["image"], (100 * x + 10 * y + 3 + 1)[None])
    assert sample["label"].nonzero().tolist() == [[0, 2, 3]]
    assert float(sample["label"].max()) == 1  # 1 is lesion, whatever its class
    assert (sample["case"], sample["slice_index"], sample["image_label"]) == ("a", 3, 1)
    assert sample["image"].untyped_storage().nbytes() == 6 * 5 * 4  # not a view that keeps the volume


def test_training_samples_hold_no_label(entry: dict[str, Any]) -> None:
    kept = {"image", "image_label", "case", "slice_index", "position"}
    assert set(SliceDataset([entry], LOAD, normal_only=True)[0]) == kept


def test_foreground_share_decides(tmp_path: Path) -> None:
    image = np.zeros((10, 10, 3))
    image[0, 0, 0] = 5  # 1 of 100 pixels
    image[:2, :, 1] = 5  # 20
    image[..., 2] = 5  # 100, but constant
    entry = {"image": write(tmp_path / "a.nii", image)}
    assert [s["slice_index"] for s in SliceDataset([entry], LOAD).data] == [0, 1]
    assert [s["slice_index"] for s in SliceDataset([entry], LOAD, min_foreground=0.2).data] == [1]


def test_volume_marked_normal_needs_no_label(entry: dict[str, Any]) -> None:
    normal = {"image": entry["image"], "image_label": 0}
    assert len(SliceDataset([normal], LOAD, normal_only=True)) == 6
    sample = SliceDataset([normal], LOAD)[0]
    assert (sample["image_label"], float(sample["label"].max())) == (0, 0)


@pytest.mark.parametrize("marks", [{}, {"image_label": 1}])
def test_training_volume_of_unknown_label_is_refused(entry: dict[str, Any], marks: dict[str, int]) -> None:
    unknown = {"image": entry["image"], **marks}
    with pytest.raises(ValueError, match=r"a.nii.gz.*label or image_label 0"):
        SliceDataset([unknown], LOAD, normal_only=True)
    assert "label" not in SliceDataset([unknown], LOAD)[0]


def test_transform_is_applied_at_each_access(entry: dict[str, Any], tmp_path: Path) -> None:
    wide = {"image": write(tmp_path / "b.nii", np.random.default_rng(0).random((9, 4, 2))), "case": "b"}
    load = Compose([LOAD, ScaleIntensityd("image")])
    dataset = SliceDataset([entry, wide], load, [RandResizedCropRotateFlipd("image", 8)])
    assert [sample["case"] for sample in dataset.data] == ["a"] * 6 + ["b"] * 2
    assert {dataset[index]["image"].shape for index in range(8)} == {(1, 8, 8)}
    assert not torch.equal(dataset[0]["image"], dataset[0]["image"])
    assert dataset.data[0]["image"].shape == (1, 6, 5)


def nan(path: Path) -> None:
    write(path, np.full(SHAPE, np.nan))


def four_dimensional(path: Path) -> None:
    write(path, np.random.default_rng(0).random((4, 4, 4, 3)))


def truncated(path: Path) -> None:
    whole = gzip.compress(nib.Nifti1Image(np.random.default_rng(0).random(SHAPE), np.eye(4)).to_bytes())
    path.write_bytes(whole[: len(whole) // 2])


def constant(path: Path) -> None:
    write(path, np.ones(SHAPE))


REFUSED: list[list[Any]] = [
    [nan, "240 of 240 NaN"],
    [four_dimensional, r"got shape \(3, 4, 4, 4\)"],
    [truncated, "EOFError"],
    [constant, "got 1 in every voxel"],
]


@pytest.mark.parametrize(("spoil", "message"), REFUSED)
def test_bad_volume_is_refused_by_name(tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(tmp_path / "bad.nii.gz")
    with pytest.raises(ValueError, match=rf"bad.nii.gz.*{message}"):
        SliceDataset([{"image": str(tmp_path / "bad.nii.gz")}], LOAD)


def test_label_of_other_shape_is_refused_by_both_names(entry: dict[str, Any], tmp_path: Path) -> None:
    other = {**entry, "label": write(tmp_path / "other.nii.gz", np.zeros((6, 5, 7)))}
    with pytest.raises(ValueError, match=r"other.nii.gz.*a.nii.gz.*\(1, 6, 5, 7\) and \(1, 6, 5, 8\)"):
        SliceDataset([other], LOAD)


def test_nothing_left_says_why(entry: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="got none: 1 empty, 7 outside of the index range"):
        SliceDataset([entry], LOAD, index_range=(0, 0))
    with pytest.raises(ValueError, match="from 0 volumes"):
        SliceDataset([], LOAD)
    with caplog.at_level(logging.INFO):
        SliceDataset([entry], LOAD, normal_only=True)
    assert "4 slices from 1 volumes; skipped: 2 empty, 2 with a lesion" in caplog.text


@pytest.mark.parametrize("stored", [False, True])
def test_places_of_lesions_that_were_left_out_are_known(entry: dict[str, Any], tmp_path: Path, stored: bool) -> None:
    for _ in range(2):  # written, then read
        dataset = SliceDataset([entry], LOAD, normal_only=True, store=tmp_path / "store" if stored else None)
        listed: Any = dataset.data
        places = listed.volumes[0].lesion_position
        assert places.tolist() == pytest.approx([0.4, 0.6])  # slices 3 and 4 of 1 to 6


BAD_ARGUMENTS: list[list[Any]] = [
    [{"axis": 3}, "got 3"],
    [{"index_range": (5, 2)}, r"got \(5, 2\)"],
    [{"min_foreground": 2.0}, "got 2.0"],
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_refused(entry: dict[str, Any], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SliceDataset([entry], LOAD, **arguments)


@pytest.mark.realdata
@pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA does not point at real scans")
def test_normal_slices_of_a_glioma_patient() -> None:
    folder = sorted(Path(os.environ["QFAE_REAL_DATA"]).glob("brats2015_nifti/train/*/"))[0]
    names = {"image": "Flair_subtrMeanDivStd", "label": "OTMultiClass", "mask": "brainmask"}
    entry = {key: str(folder / f"{name}.nii.gz") for key, name in names.items()}
    load = Compose(
        [
            LoadSeriesd(tuple(names)),
            CheckVolumed(tuple(names)),
            ScaleIntensityForegroundPercentilesd("image", 1, 99, mask_key="mask"),
        ]
    )
    slices = SliceDataset([entry], load, normal_only=True).data
    label: Any = nib.load(entry["label"])
    lesion = np.asarray(label.dataobj).max(axis=(0, 1)) > 0
    assert 0 < len(slices) < 155
    assert not any(lesion[sample["slice_index"]] for sample in slices)
    assert all(float(s["image"].min()) >= 0 and float(s["image"].max()) <= 1 for s in slices)
