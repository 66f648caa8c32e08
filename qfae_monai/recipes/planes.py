"""Slices of a volume as images: which way is up, and where each pixel lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

__all__ = ["Planes", "patient_planes", "stored_planes"]

# axis that is cut (in RAS+ order): directions of the turned volume, its axis down the rows, its axis along the columns
VIEWS = {
    0: (("R", "P", "I"), 2, 1),  # sagittal: superior up, anterior left
    1: (("L", "A", "I"), 2, 0),  # coronal: superior up, the patient's right on the left
    2: (("L", "P", "S"), 1, 0),  # axial: anterior up, the patient's right on the left
}


@dataclass(frozen=True, eq=False)
class Planes:
    """A volume as a stack of images, and the same views of any other array on its grid.

    Attributes:
        volume: (rows, columns, slices).
        affine: (4, 4), (row, column, slice, 1) to RAS+ mm.
    """

    volume: NDArray[Any]
    affine: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.volume.shape[2])

    def __getitem__(self, index: int) -> NDArray[Any]:
        return self.volume[:, :, index]

    def affine_of(self, index: int) -> NDArray[np.float64]:
        """(4, 4), (row, column, 0, 1) of one image to RAS+ mm."""
        affine = self.affine.copy()
        affine[:3, 3] += index * affine[:3, 2]  # mm, along the third column
        return affine

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between rows, between columns and between slices, mm."""
        rows, columns, slices = np.linalg.norm(self.affine[:3, :3], axis=0)  # mm
        return float(rows), float(columns), float(slices)


def stored_planes(
    array: NDArray[Any], affine: NDArray[np.float64], *, flip_rows: bool = False, lying: bool = False
) -> Planes:
    """Slices across the third axis as stored: rows along the second axis, columns along the first.

    Args:
        array: (X, Y, Z).
        affine: (4, 4), voxel to RAS+ mm.
        flip_rows: whether the last row comes first.
        lying: rows along the first axis and columns along the second instead, as a script saves `volume[:, :, k]`.
    """
    order = [0, 1, 2] if lying else [1, 0, 2]  # of the stored axes: rows, columns, slices
    volume, turned = array.transpose(order), affine[:, [*order, 3]].copy()
    if flip_rows:
        turned[:3, 3] += (volume.shape[0] - 1) * turned[:3, 0]  # the last row becomes the origin
        turned[:3, 0] *= -1
        volume = volume[::-1]
    return Planes(volume, turned)


def patient_planes(array: NDArray[Any], affine: NDArray[np.float64], *, axis: int = 2) -> Planes:
    """Slices as radiologists see them, whatever the order of storage.

    Args:
        array: (X, Y, Z).
        affine: (4, 4), voxel to RAS+ mm.
        axis: patient axis that is cut: 0 left to right, 1 posterior to anterior, 2 inferior to superior; slices are
            numbered in that direction, as in the bundle's `slice_axis` and `slice_range`.

    Raises:
        ValueError: when the axis is none of these.
    """
    if axis not in VIEWS:
        raise ValueError(f"expected an axis 0, 1 or 2, got {axis}")
    codes, rows, columns = VIEWS[axis]
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(codes))  # nearest axes: oblique planes stay as acquired
    turned = affine @ inv_ornt_aff(turn, array.shape)  # turned voxel to RAS+ mm
    order = [rows, columns, axis]
    return Planes(apply_orientation(array, turn).transpose(order), turned[:, [*order, 3]])
