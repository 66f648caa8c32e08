"""Small synthetic DICOM files whose true geometry and values are known, for the reader's tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

CT, MR, ENHANCED_MR, REPORT = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.88.11",
)
EXPLICIT, IMPLICIT, BIG, DEFLATED, RLE = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.5",
)
V2 = int(pydicom.__version__.split(".")[0]) < 3
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SERIES = "1.2.826.0.1.3680043.8.498.1"

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def image(pixels: np.ndarray, **elements: Any) -> Dataset:
    """A data set with the pixel attributes of ``pixels`` (rows, columns) or (frames, rows, columns)."""
    dataset = Dataset()
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.2"
    dataset.SeriesInstanceUID = SERIES
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "4711"
    dataset.Modality = "CT"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def write(path: Path, dataset: Dataset, syntax: str = EXPLICIT) -> Path:
    """Write a data set as a DICOM file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CT)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", generate_uid())
    file = FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128)
    if V2:
        file.is_little_endian, file.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    elif syntax == BIG:
        file.set_original_encoding(False, False)
    path.parent.mkdir(parents=True, exist_ok=True)
    if "PixelData" in file:
        file["PixelData"].VR = "OW" if file.BitsAllocated > 8 else "OB"
    pydicom.dcmwrite(str(path), file, **({"write_like_original": False} if V2 else {"enforce_file_format": True}))
    return path


def volume(shape: tuple[int, int, int] = (5, 4, 3), dtype: Any = np.int16) -> np.ndarray:
    """(slices, rows, columns) with a different value in each voxel: 100 slice + 10 row + column."""
    slices, rows, columns = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return (100 * slices + 10 * rows + columns).astype(dtype)


def series(
    folder: Path,
    pixels: np.ndarray | None = None,
    *,
    orientation: Sequence[float] = AXIAL,
    gaps: float | Sequence[float] = 2.5,
    direction: Sequence[float] | None = None,
    origin: Sequence[float] = (10.0, 20.0, 30.0),
    spacing: tuple[float, float] = (0.7, 0.9),
    shuffle: bool = True,
    syntax: str = EXPLICIT,
    skip: Sequence[int] = (),
    **elements: Any,
) -> list[Path]:
    """A series of one file per slice; file names and InstanceNumber say nothing of the order when shuffled.

    Args:
        folder: where to write.
        pixels: (slices, rows, columns).
        orientation: ImageOrientationPatient.
        gaps: mm along ``direction`` from slice to slice.
        direction: from slice to slice; the normal if None.
        origin: position of the first slice's first pixel, mm (LPS).
        spacing: of rows and of columns, mm.
        shuffle: whether numbers and names are shuffled (seeded).
        syntax: transfer syntax.
        skip: slices that are not written.
        elements: further elements; a list with one value a slice, where it is one.
    """
    pixels = volume() if pixels is None else pixels
    count = len(pixels)
    along = np.cross(orientation[:3], orientation[3:]) if direction is None else np.asarray(direction, dtype=float)
    steps = np.broadcast_to(np.asarray(gaps, dtype=float), (count - 1,)) if count > 1 else np.zeros(0)
    distances = np.concatenate([[0.0], np.cumsum(steps)])
    order = np.random.default_rng(7).permutation(count) if shuffle else np.arange(count)
    paths = []
    for index in range(count):
        own = {key: value[index] if isinstance(value, list) else value for key, value in elements.items()}
        dataset = image(
            pixels[index],
            **{
                "ImagePositionPatient": (np.asarray(origin) + distances[index] * along).round(6).tolist(),
                "ImageOrientationPatient": list(orientation),
                "PixelSpacing": list(spacing),
                "SliceThickness": 2.5,
                "InstanceNumber": int(order[index]) + 1,
                **own,
            },
        )
        if index not in skip:
            paths.append(write(folder / f"{int(order[index]):03d}.dcm", dataset, syntax))
    return paths


def enhanced(
    path: Path,
    pixels: np.ndarray,
    positions: Sequence[Sequence[float]],
    *,
    orientation: Sequence[float] = AXIAL,
    rescale: Sequence[tuple[float, float]] | None = None,
    dimensions: Sequence[tuple[int, int]] | None = None,
    **elements: Any,
) -> Path:
    """An enhanced multi-frame MR.

    Args:
        path: file to write.
        pixels: (frames, rows, columns).
        positions: ImagePositionPatient of each frame.
        orientation: shared by all frames.
        rescale: slope and intercept of each frame.
        dimensions: in-stack position and temporal position of each frame; told by DimensionIndexValues.
        elements: further elements at the top level.
    """
    dataset = image(pixels, SOPClassUID=ENHANCED_MR, Modality="MR", NumberOfFrames=len(pixels), **elements)
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = list(orientation)
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.9], 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index, position in enumerate(positions):
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = list(position)
        group.PlanePositionSequence = [place]
        if rescale is not None:
            transform = Dataset()
            transform.RescaleSlope, transform.RescaleIntercept = rescale[index]
            group.PixelValueTransformationSequence = [transform]
        if dimensions is not None:
            content = Dataset()
            content.DimensionIndexValues = list(dimensions[index])
            group.FrameContentSequence = [content]
        frames.append(group)
    dataset.PerFrameFunctionalGroupsSequence = frames
    if dimensions is not None:
        pointers = []
        for tag in (0x00209057, 0x00209128):  # in-stack position, temporal position
            pointer = Dataset()
            pointer.DimensionIndexPointer = tag
            pointers.append(pointer)
        dataset.DimensionIndexSequence = pointers
    return write(path, dataset)


def true_affine(orientation: Any, step: Any, origin: Any = (10.0, 20.0, 30.0), spacing: Any = (0.7, 0.9)) -> np.ndarray:
    """Index (column, row, slice) to RAS+ by the formula of DICOM PS3.3 C.7.6.2.1.1."""
    affine = np.eye(4)
    affine[:3, 0] = np.array(orientation[:3]) * spacing[1]
    affine[:3, 1] = np.array(orientation[3:]) * spacing[0]
    affine[:3, 2], affine[:3, 3] = step, origin
    return LPS @ affine


def oblique() -> tuple[float, ...]:
    """Axial, turned by 20 degrees about x and then 10 degrees about z."""
    a, b = np.radians([20, 10])
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return tuple(np.concatenate([(turn_z @ turn_x)[:, 0], (turn_z @ turn_x)[:, 1]]).tolist())


def missing(folder: Path) -> None:
    """A series without its third slice."""
    series(folder, shuffle=False, skip=[2])


def two_series(folder: Path) -> None:
    """Two series in one folder."""
    series(folder, shuffle=False, SeriesNumber=3, SeriesDescription="first")
    elements: dict[str, Any] = {"SeriesInstanceUID": "1.2.3.4", "SeriesNumber": 4}
    series(folder / "b", volume() + 7, origin=(10, 20, 42.5), **elements)
