"""Damaged NIfTI files are refused by name; one of them MONAI reads without an error."""

from __future__ import annotations

import gzip
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import Compose, LoadImaged

from qfae_monai import machine_memory
from qfae_monai.transforms import CheckNiftiFile, CheckNiftiFiled

VOXELS = np.random.default_rng(0).normal(size=(16, 16, 8)).astype(np.float32)
WHOLE = nib.Nifti1Image(VOXELS, np.eye(4)).to_bytes()  # 352 bytes of header, then 4 a voxel
ZIPPED = gzip.compress(WHOLE)


def flipped(archive: bytes) -> bytes:
    """The archive with its checksum damaged."""
    return archive[:-8] + bytes([archive[-8] ^ 0xFF]) + archive[-7:]


DAMAGED = [
    ["cut.nii.gz", ZIPPED[: len(ZIPPED) // 2], "truncated or damaged, expected a gzip archive of 8544 bytes"],
    ["cut.nii", WHOLE[:5000], "truncated, expected 8544 bytes by its header, got 5000"],
    ["packed_short.nii.gz", gzip.compress(WHOLE[:5000]), "expected 8544 bytes by its header, got 5000"],
    ["flipped.nii.gz", flipped(ZIPPED), "CRC"],
    ["header_alone.nii", WHOLE[:200], "expected a NIfTI file"],
    ["empty.nii.gz", b"", "expected a NIfTI file"],
    ["foreign.nii.gz", b"no archive " * 50, "expected a NIfTI file"],
]


@pytest.mark.parametrize(("name", "content", "message"), DAMAGED)
def test_damaged_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        CheckNiftiFile()(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone.nii.gz"):
        CheckNiftiFile()(tmp_path / "gone.nii.gz")


@pytest.mark.parametrize(("name", "content"), [("a.nii", WHOLE), ("a.nii.gz", ZIPPED)])
def test_whole_file_passes_and_loads(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    load = Compose([CheckNiftiFiled(), LoadImaged("image", ensure_channel_first=True)])
    np.testing.assert_array_equal(load({"image": str(path)})["image"][0], VOXELS)


def test_other_files_and_loaded_images_pass(tmp_path: Path) -> None:
    sample: dict[Hashable, Any] = {"image": [tmp_path / "series", tmp_path / "x.dcm"], "label": VOXELS}
    assert CheckNiftiFiled()(sample) == sample


def test_every_path_of_a_list_is_checked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CheckNiftiFiled("image")({"image": [str(tmp_path), str(tmp_path / "gone.nii")]})


def test_a_header_that_declares_more_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    monkeypatch.setattr(machine_memory, "available_memory", lambda: 8_000_000_000)
    with pytest.raises(
        ValueError, match=r"a\.nii: .*the 8\.0 GB .*30000 x 30000 x 30000 voxels, which takes 324000\.0 GB"
    ):
        CheckNiftiFile()(tmp_path / "a.nii")
