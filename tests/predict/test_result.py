"""NIfTI results: a grid that a rotation cannot say has no qform."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.predict.prediction import Prediction, Shown
from qfae_monai.predict.result import save_image, save_volume
from qfae_monai.reading import read_series
from qfae_monai.reading.nifti_grid import drops_shear, is_sheared

TILT = np.tan(np.radians(18.5))
OBLIQUE = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]


def grid(axes: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = 7, -120, 33
    return affine


@pytest.mark.parametrize("axes", [np.diag([-1.0, -1.0, 3.0]), OBLIQUE @ np.diag([0.7, 0.9, 5.0])])
def test_a_rotated_grid_has_both_forms(tmp_path: Path, axes: np.ndarray) -> None:
    save_volume(tmp_path / "map.nii.gz", np.ones((4, 5, 6), np.float32), grid(axes))
    header: Any = nib.load(tmp_path / "map.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    np.testing.assert_allclose(header.get_qform(), grid(axes), atol=1e-3)


def test_a_qform_that_drops_the_shear_is_told(tmp_path: Path) -> None:
    axes = np.array([[-0.5, 0, 0], [0, -0.5, 3 * TILT], [0, 0, 3]])
    for name, affine, code in (("both", grid(axes), 1), ("one", grid(axes), 0), ("oblique", grid(OBLIQUE), 1)):
        image = nib.Nifti1Image(np.zeros((2, 3, 4), np.float32), affine)
        image.set_sform(affine, code=1)
        image.set_qform(affine, code=code)
        nib.save(image, tmp_path / f"{name}.nii")
    (tmp_path / "text.nii").write_text("no NIfTI")
    told = [name for name in ("both", "one", "oblique", "text") if drops_shear(tmp_path / f"{name}.nii")]
    assert told == ["both"]


@pytest.mark.parametrize("shear", [TILT, -TILT, 1e-3])
def test_a_sheared_grid_states_no_qform(tmp_path: Path, shear: float) -> None:
    """ITK takes the qform first where its code is set, which cannot hold a shear."""
    axes = np.array([[-0.5, 0, 0], [0, -0.5, 3 * shear], [0, 0, 3]])
    save_volume(tmp_path / "map.nii.gz", np.ones((4, 5, 6), np.float32), grid(axes))
    found: Any = nib.load(tmp_path / "map.nii.gz")
    assert (int(found.header["qform_code"]), int(found.header["sform_code"])) == (0, 1)
    np.testing.assert_allclose(found.affine, grid(axes), atol=1e-5)
    assert is_sheared(grid(axes))
    assert not is_sheared(grid(OBLIQUE))


def test_an_image_is_copied_where_it_is_as_we_write_it(tmp_path: Path) -> None:
    voxels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    plain, told = tmp_path / "plain.nii.gz", tmp_path / "told.nii.gz"
    save_volume(tmp_path / "ours.nii.gz", voxels, grid(OBLIQUE))
    content = gzip.decompress((tmp_path / "ours.nii.gz").read_bytes())
    plain.write_bytes(gzip.compress(content, 9, mtime=0))
    image: Any = nib.Nifti1Image.from_bytes(content)
    image.header["descrip"] = "Doe^Jane"
    nib.save(image, told)
    for source in (plain, told):
        save_image(tmp_path / "image.nii.gz", read_series(source))
        written = (tmp_path / "image.nii.gz").read_bytes()
        assert (written == source.read_bytes()) == (source == plain)
        assert gzip.decompress(written) == content
        assert not (tmp_path / "image.nii.gz").is_symlink()


@pytest.mark.parametrize(
    ("scored", "visible", "covered"), [(18, 22, True), (11, 22, True), (10, 22, False), (1, 1, True)]
)
def test_less_than_half_of_the_foreground_has_no_p_value(scored: int, visible: int, covered: bool) -> None:
    scores = np.array([1.0] * scored + [np.nan] * 30)
    empty = np.zeros((2, 2, 2), np.float32)
    found = Prediction(empty, None, 1.0, scores, 2, 0, 0, visible, Shown(np.arange(2), empty, empty, 0.0))
    assert (not found.uncovered) == covered
    assert all(f"{scored} of {visible} slices" in sentence for sentence in found.uncovered)
