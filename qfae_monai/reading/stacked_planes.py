"""The planes of a stack decoded and put into one volume: real values, padding told apart."""

from __future__ import annotations

import numpy as np

from qfae_monai.files.machine_memory import check_memory
from qfae_monai.reading.dicom_file import DicomFile
from qfae_monai.reading.dicom_frames import Frame
from qfae_monai.reading.dicom_pixels import stored_values
from qfae_monai.reading.dicom_values import padding_mask, real_values
from qfae_monai.reading.geometry_risks import Stack

__all__ = ["stacked_planes"]

VOXEL_BYTES = 4  # of the widest stored DICOM pixel; as many again for real values, and for their float32 copy


def stacked_planes(stack: Stack) -> tuple[np.ndarray, np.ndarray | None]:
    """(X, Y, Z) of real values, and where they are padding, None where there is none.

    Raises:
        ValueError: when pixels are damaged, or do not fit into memory.
    """
    first = next(frame for frame in stack.frames if frame is not None)
    shape = stack.shape
    what = f"a series of {' x '.join(map(str, shape))} voxels"
    check_memory(first.file.source.name, 3 * VOXEL_BYTES * int(np.prod(shape, dtype=object)), what)
    planes: list[np.ndarray | None] = []
    masks: list[np.ndarray | None] = []
    decoded = _Decoded()
    for frame in stack.frames:
        stored = None if frame is None else decoded.frame(frame)
        masks.append(None if frame is None or stored is None else padding_mask(frame, stored))
        planes.append(None if frame is None or stored is None else real_values(frame, stored))
    return _assembled(planes, masks, shape)


def _assembled(
    planes: list[np.ndarray | None], masks: list[np.ndarray | None], shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """(X, Y, Z) of planes (rows, columns); what is padding, or a missing plane, takes the minimum of the rest."""
    present = [(plane, mask) for plane, mask in zip(planes, masks, strict=True) if plane is not None]
    array = np.empty(shape, dtype=np.result_type(*{plane.dtype for plane, _ in present}), order="F")
    padding = np.zeros(shape, dtype=bool, order="F")
    for index, (plane, mask) in enumerate(zip(planes, masks, strict=True)):
        if plane is not None:
            array[..., index] = plane.T
        if plane is None or mask is not None:
            padding[..., index] = True if mask is None else mask.T
    valid = [plane if mask is None else plane[~mask] for plane, mask in present]
    lowest = [part.min() for part in valid if part.size]
    if not padding.any() or not lowest:
        return array, None
    for index in np.flatnonzero(padding.any(axis=(0, 1))).tolist():
        np.copyto(array[..., index], min(lowest), where=padding[..., index])
    return array, padding


class _Decoded:
    """Stored values of the file that was asked for last: frames of one file come one after another."""

    def __init__(self) -> None:
        self.file: DicomFile | None = None
        self.values = np.empty(0)

    def frame(self, frame: Frame) -> np.ndarray:
        if self.file is not frame.file:
            self.values, self.file = stored_values(frame.file), frame.file
        plane = self.values[frame.index]
        return plane if frame.window is None else plane[frame.window]
