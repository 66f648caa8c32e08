"""The plane of acquisition: of a grid, of most scans, and of a data list's volumes by their headers."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.data import acquisition_axis
from qfae_monai.data.acquisition import common_plane, plane_of

SAGITTAL = np.array([[0, 0, 4.8, 0], [1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
AXIAL = np.diag([-0.9, -0.9, 5.0, 1.0])


def test_the_plane_is_of_the_patient_and_not_of_storage() -> None:
    assert (plane_of(SAGITTAL), plane_of(AXIAL), plane_of(np.diag([1, 1.1, 1, 1]))) == (0, 2, None)


@pytest.mark.parametrize(
    ("planes", "axis", "word"),
    [
        ([0, 0, 2], 0, "sagittal"),
        ([1], 1, "coronal"),
        ([None, None, 1], 2, "about as wide"),
        ([], 2, "axial"),
        ([None, 0, 0], 0, "2 of 3 scans"),
    ],
)
def test_most_scans_decide(planes: list[int | None], axis: int, word: str) -> None:
    found, why = common_plane(planes)
    assert found == axis
    assert word in why


def test_a_list_of_sagittal_stacks_is_cut_sagittally_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = []
    for number, affine in enumerate((SAGITTAL, AXIAL, SAGITTAL)):
        entries.append({"image": str(tmp_path / f"{number}.nii.gz"), "case": str(number)})
        nib.save(nib.Nifti1Image(np.zeros((8, 8, 5), np.float32), affine), entries[-1]["image"])
    with caplog.at_level(logging.INFO):
        assert acquisition_axis(entries) == 0
    assert "across axis 0: sagittal, the plane that 2 of 3 scans were acquired in" in caplog.text


def test_images_have_no_plane() -> None:
    assert acquisition_axis([{"image": "missing/a.png"}, {"image": "missing/b.npy"}]) == 2
