"""NIfTI, NRRD and MetaImage files: values, affine, and headers that must not be believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from qfae_monai.reading import read_series
from tests.reading import dicom_factory as factory


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(array, affine), path)


def write_itk(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    lps = factory.LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    picture = sitk.GetImageFromArray(array.T)
    picture.SetSpacing(spacing.tolist())
    picture.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    picture.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(picture, str(path))


VOLUMES: list[list[Any]] = [
    ["a.nii", write_nifti],
    ["a.nii.gz", write_nifti],
    ["a.nrrd", write_itk],
    ["a.mha", write_itk],
    ["a.mhd", write_itk],
]


@pytest.mark.parametrize(("name", "write"), VOLUMES)
def test_volume_files_give_values_and_affine(tmp_path: Path, name: str, write: Any) -> None:
    affine = factory.true_affine(factory.oblique(), np.cross(factory.oblique()[:3], factory.oblique()[3:]) * 2.5)
    array = np.ascontiguousarray(factory.volume().T)
    write(tmp_path / name, array, affine)
    found = read_series(tmp_path / name)
    assert np.array_equal(found.array, array)
    assert found.array.dtype == np.int16
    assert np.allclose(found.affine, affine, atol=1e-4)
    assert found.files == (tmp_path / name,)


def test_nifti_of_several_time_points(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((3, 4, 5, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match=r"a\.nii\.gz: expected one volume, got 2: volume 1 of 2"):
        read_series(tmp_path / "a.nii.gz")
    assert np.array_equal(read_series(tmp_path / "a.nii.gz", volume=2).array, array[..., 1])


def test_nifti_scaling_is_applied(tmp_path: Path) -> None:
    nifti = nib.Nifti1Image(np.ascontiguousarray(factory.volume().T), np.eye(4))
    nifti.header.set_slope_inter(0.5, 3)
    (tmp_path / "a.nii").write_bytes(nifti.to_bytes())
    loaded: Any = nib.load(tmp_path / "a.nii")
    assert np.allclose(read_series(tmp_path / "a.nii").array, loaded.get_fdata())


def flipped(data: bytearray) -> None:
    data[-30] ^= 0xFF


def cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


@pytest.mark.parametrize("damage", [flipped, cut])
def test_damaged_nifti_is_refused_by_name(tmp_path: Path, damage: Any) -> None:
    write_nifti(tmp_path / "a.nii.gz", np.random.default_rng(0).random((9, 9, 9)), np.eye(4))
    data = bytearray((tmp_path / "a.nii.gz").read_bytes())
    damage(data)
    (tmp_path / "a.nii.gz").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.nii\.gz: expected a NIfTI file, got a damaged one"):
        read_series(tmp_path / "a.nii.gz")


def test_nifti_header_that_declares_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    nifti = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    data = bytearray(nifti.to_bytes())
    data[42:48] = np.array([20000, 20000, 20000], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.nii: .*declares 16000000000352"):
        read_series(tmp_path / "a.nii")


AXES = [b"99999999999999999999", b"65535", b"11", b"-1", b"0", b"", b"3\nNDims = 99"]


@pytest.mark.parametrize("axes", AXES)
def test_metaimage_of_too_many_axes_is_refused(tmp_path: Path, axes: bytes) -> None:
    header = (
        b"ObjectType = Image\nNDims = %s\nDimSize = 1 1 1\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n" % axes
    )
    (tmp_path / "a.mha").write_bytes(header + b"\0")
    with pytest.raises(ValueError, match=r"a\.mha: .*NDims 2 to 4 expected once"):  # ITK dies of the first
        read_series(tmp_path / "a.mha")


def test_metaimage_in_a_pattern_of_files_is_refused(tmp_path: Path) -> None:
    header = b"ObjectType = Image\nNDims = 3\nDimSize = 1 1 1\nElementType = MET_UCHAR\nElementDataFile = a%d 1 1 0\n"
    (tmp_path / "a.mhd").write_bytes(header)
    with pytest.raises(
        ValueError, match=r"a\.mhd: .*one file with them expected, got several files"
    ):  # ITK divides by 0
        read_series(tmp_path / "a.mhd")


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("micron", 1000), ("meter", 0.001), ("unknown", 1)])
def test_lengths_are_millimetres_whatever_they_are_stored_in(tmp_path: Path, unit: str, factor: float) -> None:
    affine = np.diag([0.1, 0.1, 0.3, 1.0])
    affine[:3, 3] = -2.4, -2.8, -3.6
    stored = np.diag([factor] * 3 + [1]) @ affine
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), stored)
    image.header.set_xyzt_units(unit)
    image.set_qform(stored, 1)
    nib.save(image, tmp_path / "mouse.nii.gz")
    found = read_series(tmp_path / "mouse.nii.gz")
    np.testing.assert_allclose(found.affine, affine, rtol=1e-5)
    assert bool(found.attributes["notes"]) == (factor != 1)


def test_a_nifti_without_orientation_code_is_said_to_lie_as_it_is_read(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((3, 4, 5))
    nib.save(nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), None, header), tmp_path / "a.nii")
    found = read_series(tmp_path / "a.nii")
    axes = "".join(nib.aff2axcodes(found.affine))
    assert found.attributes["notes"] == (f"no orientation code: axes taken as {axes}+",)
