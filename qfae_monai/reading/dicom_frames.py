"""DICOM frames: one record an image plane, with its place in the patient and its way to real values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from qfae_monai.reading.dicom_file import DicomFile
from qfae_monai.reading.frame_keys import common_keys, listed, own_keys

__all__ = ["Frame", "frames_of"]

PARALLEL = 0.9  # least cosine between a mosaic's stated normal and that of its plane


@dataclass(frozen=True, eq=False)
class Frame:
    """One image plane. Lengths are in mm, in DICOM's patient axes (LPS).

    Attributes:
        file: the file that holds it.
        index: its number in the file, from 0.
        position: centre of the first pixel, (3,); None where the header does not say.
        orientation: directions along a row and along a column, (2, 3) unit vectors; None where it does not say.
        spacing: distance between rows and between columns, (2,); None where it does not say.
        thickness: distance to the next slice as the header claims it, mm; None where it does not.
        slope: real value = slope * stored + intercept.
        intercept: see `slope`.
        keys: what may tell it from other frames at its position.
        number: instance number, then frame number.
        window: rows and columns of a mosaic's sheet that are this plane; None for all.
    """

    file: DicomFile
    index: int
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float
    keys: dict[str, Any] = field(default_factory=dict)
    number: tuple[int, int] = (0, 0)
    window: tuple[slice, slice] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        if self.window is not None:
            return self.window[0].stop - self.window[0].start, self.window[1].stop - self.window[1].start
        return self.file.values["Rows"], self.file.values["Columns"]

    @property
    def name(self) -> str:
        """File name, with the frame's number (from 1) where the file holds several."""
        name = self.file.source.name.name
        if self.window is not None:
            return f"{name} tile {self.number[1] + 1}"
        return name if self.file.frame_count == 1 else f"{name} frame {self.index + 1}"


def frames_of(file: DicomFile) -> list[Frame]:
    """The frames of a file, in its own order.

    Raises:
        ValueError: when the header's geometry or rescaling is damaged.
    """
    try:
        return list(_frames(file))
    except ValueError as error:
        raise ValueError(f"{file.source.name}: {error}") from error
    except Exception as error:
        raise ValueError(
            f"{file.source.name}: expected a readable header, got a damaged one ({type(error).__name__}: {error})"
        ) from error


def _frames(file: DicomFile) -> Iterator[Frame]:
    header = file.values
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    count = file.frame_count
    if per_frame and len(per_frame) != count:
        raise ValueError(f"expected {count} frames by NumberOfFrames, got functional groups for {len(per_frame)}")
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])[:1]
    common = common_keys(file)
    pointers = [int(item.DimensionIndexPointer) for item in header.get("DimensionIndexSequence") or []]
    first = _frame(file, 0, _Groups(header, [*per_frame[:1], *shared], count == 1))
    if file.mosaic is not None:
        yield from _tiles(replace(first, keys=common))
        return
    if not per_frame:
        yield from (replace(first, index=index, number=(first.number[0], index), keys=common) for index in range(count))
        return
    for index, own in enumerate(per_frame):
        frame = first if index == 0 else _frame(file, index, _Groups(header, [own, *shared], count == 1))
        yield replace(frame, keys={**common, **own_keys(own, shared, pointers)})


def _tiles(sheet: Frame) -> Iterator[Frame]:
    """The slices of a mosaic. The sheet's position is that of one slice as large as the sheet, about the same centre.

    Raises:
        ValueError: when nothing says how many they are, or which way they follow one another.
    """
    mosaic, header = sheet.file.mosaic, sheet.file.values
    assert mosaic is not None
    if mosaic.tiles is None:
        raise ValueError("a mosaic of slices that does not state how many they are: refused [mosaic]")
    windows = mosaic.windows(header["Rows"], header["Columns"])
    if mosaic.positions is not None:
        places = list(mosaic.positions)
    elif any(one is None for one in (mosaic.normal, sheet.position, sheet.orientation, sheet.spacing, sheet.thickness)):
        raise ValueError("a mosaic of slices that does not state their place, distance and direction: refused [mosaic]")
    else:
        places = _places(sheet, windows[0], len(windows))
    for number, (window, place) in enumerate(zip(windows, places, strict=True)):
        yield replace(sheet, position=place, window=window, number=(sheet.number[0], number))


def _places(sheet: Frame, window: tuple[slice, slice], count: int) -> list[np.ndarray]:
    """First pixel of each slice, from slice to slice along the normal."""
    orientation, spacing, thickness, mosaic = sheet.orientation, sheet.spacing, sheet.thickness, sheet.file.mosaic
    assert orientation is not None
    assert spacing is not None
    assert thickness is not None
    assert sheet.position is not None
    assert mosaic is not None
    rows, columns = sheet.file.values["Rows"], sheet.file.values["Columns"]
    aside = orientation[0] * (columns - window[1].stop) / 2 * spacing[1]  # mm
    down = orientation[1] * (rows - window[0].stop) / 2 * spacing[0]  # mm
    plane = np.cross(*orientation)  # exact, where the stated one is rounded
    cosine = float(plane @ mosaic.normal)
    if abs(cosine) < PARALLEL:
        raise ValueError(f"expected a mosaic whose slices follow its normal, got a cosine of {cosine:.2f} [mosaic]")
    step = plane * np.sign(cosine) * thickness  # mm
    return [sheet.position + aside + down + number * step for number in range(count)]


def _frame(file: DicomFile, index: int, groups: _Groups) -> Frame:
    slope = groups.number("PixelValueTransformationSequence", "RescaleSlope")
    intercept = groups.number("PixelValueTransformationSequence", "RescaleIntercept")
    if slope == 0:
        raise ValueError("expected a rescale slope other than 0, got 0: all values would be the same")
    return Frame(
        file,
        index,
        position=groups.vector("PlanePositionSequence", "ImagePositionPatient", 3),
        orientation=_orientation(groups.vector("PlaneOrientationSequence", "ImageOrientationPatient", 6)),
        spacing=_spacing(groups),
        thickness=_positive(groups.number("PixelMeasuresSequence", "SpacingBetweenSlices"))
        or _positive(groups.number("PixelMeasuresSequence", "SliceThickness")),
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        number=(int(file.values.get("InstanceNumber") or 0), index),
    )


class _Groups:
    """Values of one frame: its own functional group, else the shared one, else the data set's top level."""

    def __init__(self, header: Mapping[str, Any], groups: Sequence[Dataset], classic: bool) -> None:
        self.header, self.groups, self.classic = header, groups, classic

    def value(self, sequence: str, keyword: str) -> Any:
        for group in self.groups:
            items = group.get(sequence)
            if items and items[0].get(keyword) not in (None, ""):
                return items[0].get(keyword)
        # a multi-frame file's one position at the top level does not tell where each frame is
        if self.classic or keyword not in ("ImagePositionPatient",):
            value = self.header.get(keyword)
            return None if value == "" else value
        return None

    def vector(self, sequence: str, keyword: str, length: int) -> np.ndarray | None:
        value = self.value(sequence, keyword)
        if value is None or len(listed(value)) == 0:
            return None
        numbers = np.array([float(number) for number in listed(value)])
        if len(numbers) != length or not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e6:
            raise ValueError(f"expected {length} finite numbers in {keyword}, got {numbers.tolist()}")
        return numbers

    def number(self, sequence: str, keyword: str) -> float | None:
        value = self.value(sequence, keyword)
        if value is None:
            return None
        number = float(listed(value)[0]) if listed(value) else float("nan")
        if not np.isfinite(number):
            raise ValueError(f"expected a finite {keyword}, got {value!r}")
        return number


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _orientation(numbers: np.ndarray | None) -> np.ndarray | None:
    """Two orthogonal unit vectors from ImageOrientationPatient, which scanners round."""
    if numbers is None:
        return None
    row, column = numbers[:3], numbers[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.99 or max(lengths) > 1.01 or abs(row @ column) > 0.01:
        raise ValueError(f"expected two orthogonal unit vectors in ImageOrientationPatient, got {numbers.tolist()}")
    row = row / lengths[0]
    column = column - (column @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])  # (2, 3)


def _spacing(groups: _Groups) -> tuple[float, float] | None:
    numbers = None
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        numbers = groups.vector("PixelMeasuresSequence", keyword, 2) if numbers is None else numbers
    if numbers is None or not numbers.any():  # two zeros are how some writers leave it open
        return None
    if not (numbers > 0).all():
        raise ValueError(f"expected a PixelSpacing above 0 mm, got {numbers.tolist()}")
    return float(numbers[0]), float(numbers[1])  # mm between rows, mm between columns
