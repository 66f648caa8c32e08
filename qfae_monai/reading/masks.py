"""A mask on its image's grid: axes in another order are turned, frames of a DICOM SEG put in their places."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.reading.dicom_file import DicomFile
from qfae_monai.reading.dicom_frames import Frame, frames_of
from qfae_monai.reading.dicom_pixels import stored_values
from qfae_monai.reading.geometry_risks import check_allow
from qfae_monai.reading.left_aside import INCLUDABLE
from qfae_monai.reading.series import Series, one_volume, opened_group, read_group
from qfae_monai.reading.series_files import SourcePaths
from qfae_monai.reading.volume_choice import Choice

__all__ = ["GRID_TOLERANCE", "read_mask", "turns_onto"]

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # Segmentation, Label Map Segmentation
GRID_TOLERANCE = 1e-3  # mm: header round-off is below it, a wrong grid far above
OFF_VOXEL = 0.05  # voxels that a frame may lie off its image's
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_mask(
    source: SourcePaths,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    *,
    series: str | int | None = None,
    volume: Choice = None,
    allow: Collection[str] = (),
) -> Series:
    """The values of a mask, on the grid of its image where that is exact.

    Frames of a DICOM SEG are placed by their positions: empty ones may be left out, segments lie over each other. Of
    other formats axes are turned or swapped where the result is the image's grid to 1e-3 mm. What lies on another grid
    stays as it was read, for who compares the grids to refuse.

    Args:
        source: as in `qfae_monai.reading.read_series`.
        shape: (X, Y, Z) of the image.
        affine: (4, 4) of the image, index to RAS+ mm.
        series, volume, allow: as in `qfae_monai.reading.read_series`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is refused, or a frame of a SEG lies off the image's voxels.
    """
    if not isinstance(source, str | PathLike) and len(source) == 1:
        source = source[0]
    choice = one_volume(volume)
    with opened_group(source, series=series, allow=allow, include=INCLUDABLE) as group:  # a mask is no scan
        if group.dicom and all(str(file.values.get("SOPClassUID")) in SEGMENTATIONS for file in group.dicom):
            return _placed(group.dicom, shape, affine)
        return _turned(read_group(group, choice, check_allow(allow)), shape, affine)


def _placed(files: Sequence[DicomFile], shape: tuple[int, ...], affine: NDArray[np.float64]) -> Series:
    """Frames of segmentations, each where it lies."""
    stored = [stored_values(file) for file in files]
    mask = np.zeros(shape, dtype=np.result_type(*stored), order="F")
    inverse = np.linalg.inv(affine)  # RAS+ mm to voxel
    for file, frames in zip(files, stored, strict=True):
        for frame in frames_of(file):
            plane, place = _on_grid(frames[frame.index].T, inverse @ _affine_of(frame), shape, frame)
            np.maximum(mask[place], plane, out=mask[place])  # where segments overlap, the higher value stays
    attributes = {"kind": "DICOM", "modality": "SEG", "notes": (), "volumes": 1}
    names = tuple(file.source.name for file in files)
    return Series(mask, np.asarray(affine, dtype=np.float64), names, attributes=attributes)


def _affine_of(frame: Frame) -> NDArray[np.float64]:
    """(4, 4) from (column, row, 0) of a frame to RAS+ mm."""
    if frame.position is None or frame.orientation is None or frame.spacing is None:
        raise ValueError(
            f"{frame.file.source.name}: expected position, orientation and spacing of each frame, "
            f"got none of frame {frame.index + 1}"
        )
    to_patient = np.eye(4)
    to_patient[:3, 0] = frame.orientation[0] * frame.spacing[1]  # mm along a row, from column to column
    to_patient[:3, 1] = frame.orientation[1] * frame.spacing[0]  # mm from row to row
    to_patient[:3, 2] = np.cross(frame.orientation[0], frame.orientation[1])
    to_patient[:3, 3] = frame.position
    return TO_RAS @ to_patient


def _on_grid(
    plane: NDArray[Any], to_index: NDArray[np.float64], shape: tuple[int, ...], frame: Frame
) -> tuple[NDArray[Any], tuple[slice, ...]]:
    """A frame (columns, rows) as a block of the image, and where in it.

    Args:
        plane: its pixels.
        to_index: from (column, row, 0) of the frame to the image's index.
        shape: (X, Y, Z) of the image.
        frame: for messages.
    """
    far = np.array(plane.shape) - 1  # indices of the last pixel
    corners = np.array([[0, 0, 0, 1], [far[0], 0, 0, 1], [0, far[1], 0, 1], [far[0], far[1], 0, 1]]).T
    ends = (to_index @ corners)[:3].T  # (4 corners, 3 axes)
    near = np.rint(ends)
    axes = [int(np.abs(to_index[:3, axis]).argmax()) for axis in (0, 1)]  # of the image, by axis of the frame
    first, last = near.min(0).astype(int), near.max(0).astype(int)  # voxels, both included
    size = np.ones(3, dtype=int)
    size[axes] = plane.shape
    if (
        axes[0] == axes[1]
        or np.abs(ends - near).max() > OFF_VOXEL
        or (last - first + 1 != size).any()
        or (first < 0).any()
        or (last >= np.array(shape)).any()
    ):
        raise ValueError(
            f"{frame.file.source.name}: expected frames on the voxels of the image, {' x '.join(map(str, shape))}, got "
            f"frame {frame.index + 1} from {_voxel(ends[0])} to {_voxel(ends[3])} of them"
        )
    block = plane if axes[0] < axes[1] else plane.T
    for axis in range(2):
        if to_index[axes[axis], axis] < 0:
            block = np.flip(block, axis if axes[0] < axes[1] else 1 - axis)
    block = block.reshape(tuple(size))  # with an axis of length 1 across the frame
    return block, tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))


def _voxel(index: NDArray[np.float64]) -> str:
    return f"({', '.join(f'{value:.2f}' for value in index)})"


def turns_onto(
    mask_shape: tuple[int, ...], mask_affine: NDArray[np.float64], shape: tuple[int, ...], affine: NDArray[np.float64]
) -> tuple[list[int], list[int]] | None:
    """Order of a volume's axes that gives a grid exactly, and the axes to flip then; None if there is none.

    Args:
        mask_shape, mask_affine: of the volume, (X, Y, Z) and (4, 4).
        shape, affine: of the grid.

    Example:
        >>> turns_onto((2, 3, 4), np.diag([-1.0, 1, 1, 1]), (2, 3, 4), np.eye(4)) is None
        True
        >>> turned = np.diag([-1.0, 1, 1, 1]); turned[0, 3] = 1
        >>> turns_onto((2, 3, 4), turned, (2, 3, 4), np.eye(4))
        ([0, 1, 2], [0])
    """
    to_index = np.linalg.inv(affine) @ mask_affine
    axes = np.abs(to_index[:3, :3]).argmax(axis=0)  # of the grid, by axis of the volume
    order = np.argsort(axes).tolist()
    if sorted(axes.tolist()) != [0, 1, 2] or tuple(mask_shape[axis] for axis in order) != tuple(shape):
        return None
    flips = [place for place, axis in enumerate(order) if to_index[place, axis] < 0]
    expected = np.zeros((4, 4))  # the same as a matrix: ones, and a last index where an axis runs back
    expected[3, 3] = 1
    for place, axis in enumerate(order):
        expected[place, axis] = -1 if place in flips else 1
        expected[place, 3] = shape[place] - 1 if place in flips else 0
    far = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float).T
    far[:3] *= np.array(mask_shape)[:, None] - 1  # corners
    off = affine[:3, :3] @ ((to_index - expected) @ far)[:3]  # mm
    return (order, flips) if float(np.abs(off).max()) <= GRID_TOLERANCE else None


def _turned(found: Series, shape: tuple[int, ...], affine: NDArray[np.float64]) -> Series:
    turns = turns_onto(found.array.shape, found.affine, shape, affine)
    if turns is None or turns == ([0, 1, 2], []):
        return found
    array = np.flip(found.array.transpose(turns[0]), tuple(turns[1]))
    return replace(found, array=array, affine=np.asarray(affine, dtype=np.float64))
