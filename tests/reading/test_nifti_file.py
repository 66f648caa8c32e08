"""NIfTI files as they are written, and which files of others are the same."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.reading import read_series
from qfae_monai.reading.nifti_file import write_nifti
from qfae_monai.reading.nifti_grid import set_grid

AFFINE = np.array([[-0.7, 0, 0, 12], [0, 0, 2.5, -70], [0, 0.9, 0, 33], [0, 0, 0, 1.0]])
VOXELS = np.random.default_rng(0).integers(-1000, 3000, (9, 70, 41)).astype(np.int16)

ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as C": lambda voxels: voxels,
    "as Fortran": np.asfortranarray,
    "turned around": lambda voxels: voxels[::-1, :, ::-1],
    "transposed": lambda voxels: voxels.transpose(2, 0, 1),
    "big-endian": lambda voxels: voxels.astype(">i2"),
    "floats": lambda voxels: np.asfortranarray(voxels / np.float32(7)),
    "a mask": lambda voxels: (voxels > 0).astype(np.uint8),
    "rows and columns": lambda voxels: voxels[0],
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_a_file_is_what_nibabel_would_write(tmp_path: Path, name: str, suffix: str) -> None:
    voxels = ORDERS[name](VOXELS)
    write_nifti(tmp_path / f"a{suffix}", voxels, AFFINE)
    image = nib.Nifti1Image(voxels.astype(voxels.dtype.newbyteorder("=")), AFFINE)
    set_grid(image.header, AFFINE)
    written = (tmp_path / f"a{suffix}").read_bytes()
    assert (gzip.decompress(written) if suffix == ".nii.gz" else written) == image.to_bytes()


def test_equal_arrays_make_equal_files_whatever_they_are_called(tmp_path: Path) -> None:
    for name, order in (("a", np.asfortranarray), ("b", np.ascontiguousarray)):
        write_nifti(tmp_path / f"{name}.nii.gz", order(VOXELS), AFFINE)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert (tmp_path / "a.nii.gz").read_bytes()[:8] == b"\x1f\x8b\x08" + bytes(5)  # neither a name nor a time


def changed(**fields: Any) -> Callable[[Any], None]:
    def change(header: Any) -> None:
        for name, value in fields.items():
            header[name] = value

    return change


def short(header: Any) -> None:
    header["pixdim"][7] = 1953  # any number has a place to hide in


SAME = {
    "as it is": changed(),
    "no time axis": changed(xyzt_units=10),
    "aligned": changed(sform_code=2, qform_code=2),
    "no scale": changed(scl_slope=0),
}
OTHER = {
    "a description": changed(descrip="Doe^Jane"),
    "a file name": changed(aux_file="/home/doe/jane.nii"),
    "a data base": changed(db_name="Doe^Jane"),
    "a type in words": changed(data_type="Doe"),
    "an intent": changed(intent_name="Doe^Jane"),
    "a range": changed(cal_max=1953),
    "a number": short,
    "a scale": changed(scl_slope=2),
    "an offset of values": changed(scl_inter=-1024),
    "metres": changed(xyzt_units=1),
    "no qform": changed(qform_code=0),
    "no sform": changed(sform_code=0),
    "another qform": changed(qoffset_x=500),
    "turned by the qform": changed(quatern_b=0, quatern_c=0, quatern_d=0),
}


def made(path: Path, change: Callable[[Any], None], voxels: np.ndarray = VOXELS, affine: np.ndarray = AFFINE) -> Path:
    header = nib.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 1, 0
    set_grid(header, affine)
    change(header)
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4) + voxels.tobytes(order="F"), mtime=0))
    return path


@pytest.mark.parametrize("name", [*SAME, *OTHER])
def test_a_file_that_says_more_than_voxels_and_grid_is_not_the_same(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "a.nii.gz", {**SAME, **OTHER}[name])
    assert read_series(path).bare == (name in SAME)


def test_what_we_wrote_is_the_same(tmp_path: Path) -> None:
    sheared = AFFINE + np.array([[0, 0, 0.5, 0], *[[0] * 4] * 3])
    written: list[tuple[np.ndarray, np.ndarray]] = [(VOXELS, AFFINE), (VOXELS / 3, AFFINE), (VOXELS, sheared)]
    for number, (voxels, affine) in enumerate(written):
        write_nifti(tmp_path / f"{number}.nii.gz", voxels, affine)
        assert read_series(tmp_path / f"{number}.nii.gz").bare
        write_nifti(tmp_path / f"{number}.nii", voxels, affine)
        assert not read_series(tmp_path / f"{number}.nii").bare


def test_a_qform_beside_a_sheared_grid_an_extension_and_other_shapes_are_not(tmp_path: Path) -> None:
    sheared = AFFINE + np.array([[0, 0, 0.5, 0], *[[0] * 4] * 3])
    assert not read_series(made(tmp_path / "sheared.nii.gz", changed(qform_code=1), affine=sheared)).bare
    assert not read_series(made(tmp_path / "big.nii.gz", changed(), VOXELS[..., None])).bare
    image = nib.Nifti1Image(VOXELS, AFFINE)
    set_grid(image.header, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe^Jane"))
    nib.save(image, tmp_path / "extended.nii.gz")
    assert not read_series(tmp_path / "extended.nii.gz").bare


@pytest.mark.parametrize("order", [np.asfortranarray, np.ascontiguousarray])
def test_no_second_volume_is_in_memory_while_one_is_written(tmp_path: Path, order: Any) -> None:
    volume = order(np.zeros((64, 64, 4096), np.int16))  # 32 MB
    tracemalloc.start()
    try:
        write_nifti(tmp_path / "a.nii.gz", volume, AFFINE)
        assert tracemalloc.get_traced_memory()[1] < volume.nbytes / 8
    finally:
        tracemalloc.stop()
