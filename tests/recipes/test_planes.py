"""Slices of volumes in any storage order: which way is up, and where pixels lie."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from qfae_monai.recipes import patient_planes, stored_planes

SHAPE = (3, 4, 5)
RAS = np.array([[1.0, 0.1, 0, 7], [-0.1, 2, 0, 8], [0, 0, 3, 9], [0, 0, 0, 1]])  # slightly oblique
# axis -> patient direction down the rows, along the columns and of the slice index, in RAS+
DIRECTIONS = {
    0: ([0, 0, -1], [0, -1, 0], [1, 0, 0]),
    1: ([0, 0, -1], [-1, 0, 0], [0, 1, 0]),
    2: ([0, -1, 0], [-1, 0, 0], [0, 0, 1]),
}


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PIL"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_do_not_depend_on_the_order_of_storage(codes: str, axis: int) -> None:
    values = np.arange(60).reshape(SHAPE)
    turn = ornt_transform(io_orientation(RAS), axcodes2ornt(tuple(codes)))
    array = nib.apply_orientation(values, turn)
    affine = RAS @ inv_ornt_aff(turn, SHAPE)
    planes, expected = patient_planes(array, affine, axis=axis), patient_planes(values, RAS, axis=axis)
    assert np.array_equal(planes.volume, expected.volume)
    assert np.allclose(planes.affine, expected.affine)
    directions = planes.affine[:3, :3] / np.linalg.norm(planes.affine[:3, :3], axis=0)
    assert np.allclose(directions.T, DIRECTIONS[axis], atol=0.11)
    assert np.array_equal(planes[1].ravel()[:2], expected[1].ravel()[:2])
    # pixel (row 1, column 2) of slice 1 is where its value was
    value = planes[1][1, 2]
    place = np.argwhere(values == value)[0]
    assert np.allclose(planes.affine_of(1) @ [1, 2, 0, 1], RAS @ [*place, 1])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("lying", [False, True])
def test_stored_slices_keep_their_place(flip: bool, lying: bool) -> None:
    values = np.arange(60).reshape(SHAPE)
    planes = stored_planes(values, RAS, flip_rows=flip, lying=lying)
    row, column, index = 1, 2, 3
    rows = 3 if lying else 4
    assert planes[index].shape == ((3, 4) if lying else (4, 3))
    place = np.argwhere(values == planes[index][row, column])[0]
    along_rows = rows - 1 - row if flip else row
    assert tuple(place) == ((along_rows, column, index) if lying else (column, along_rows, index))
    assert np.allclose(planes.affine_of(index) @ [row, column, 0, 1], RAS @ [*place, 1])
    assert np.allclose(planes.spacing, np.linalg.norm(RAS[:3, [0, 1, 2] if lying else [1, 0, 2]], axis=0))


def test_unknown_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="axis 0, 1 or 2, got 3"):
        patient_planes(np.zeros(SHAPE), RAS, axis=3)
