"""One series read truthfully: DICOM, NIfTI, NRRD or MetaImage to an array, its affine and what was allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.reading.dicom_header import kept_pixels
from qfae_monai.reading.dicom_pixels import stacked_planes
from qfae_monai.reading.geometry_risks import Stack, check_allow
from qfae_monai.reading.left_aside import check_include
from qfae_monai.reading.quiet_libraries import quiet_headers
from qfae_monai.reading.series_choice import chosen_group
from qfae_monai.reading.series_files import SourceFile, SourcePaths, open_source
from qfae_monai.reading.series_group import (
    Group,
    mixture_of,
    named_errors,
    places_of,
    stacks_of,
    stated_of,
    volume_names,
)
from qfae_monai.reading.series_groups import group_files
from qfae_monai.reading.series_summary import dicom_attributes, volume_attributes
from qfae_monai.reading.volume_choice import ALL, Choice, check_volume
from qfae_monai.reading.volume_files import read_volume, read_volume_header
from qfae_monai.reading.voxel_check import outlying_voxels, voxels_below_background

__all__ = ["Series", "one_volume", "opened_group", "read_group", "read_series"]


@dataclass(frozen=True)
class Series:
    """A volume in the patient.

    Attributes:
        array: (X, Y, Z), real values (HU for CT), in the order in which it was acquired: column, row, slice.
        affine: (4, 4) float64, index to RAS+ mm; sheared where the gantry was tilted.
        files: in slice order, each once; paths within the archive for a .zip.
        padding: (X, Y, Z) boolean, True where there is no measurement: padding value or a filled missing slice. These
            voxels hold the minimum of the others. None where there are none.
        risks: what was allowed, in words with the measured numbers; and "outlying-voxels" and
            "below-background", which are never refused.
        attributes: what the header says, see `docs/reading.md`; `notes` lists what is unusual but no risk.
        stack: of DICOM, the planes in slice order with their headers; None of other formats.
        bare: whether its one file is a compressed NIfTI that holds nothing but this array and its grid, as we write it.
    """

    array: np.ndarray
    affine: np.ndarray
    files: tuple[Path, ...]
    padding: np.ndarray | None = None
    risks: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stack: Stack | None = field(default=None, repr=False, compare=False)
    bare: bool = False

    @property
    def taken(self) -> tuple[str, ...]:
        """Notes on the volume that was read of several, and on those that an interruption left incomplete."""
        return tuple(note for note in self.attributes.get("notes", ()) if note.startswith(("volume ", "interrupted: ")))


@quiet_headers()
def read_series(
    source: SourcePaths,
    *,
    series: str | int | None = None,
    volume: Choice = None,
    allow: Collection[str] = (),
    include: Collection[str] = (),
) -> Series:
    """Read one series with its true geometry, or refuse it.

    DICOM slices are sorted by position, rescaled slice by slice, MONOCHROME1 is inverted (within the stored bits, so
    that bright is dense in each file alike), padding takes the minimum of the other voxels.

    Args:
        source: folder, file, list of files or .zip archive of DICOM; or a NIfTI, NRRD or MetaImage file.
        series: SeriesInstanceUID, SeriesNumber, description or file name, where several series lie together.
        volume: which volume where a series has several (time points, echoes, b-values; the fourth axis of a NIfTI):
            `first`, a number from 1, or what tells it from the others as `echo=1`. With one volume there is no choice.
        allow: names of `qfae_monai.reading.geometry_risks.RISKS` that may pass; what passed is in `risks`.
        include: names of `qfae_monai.reading.left_aside.INCLUDABLE` that are no scans, and are read all the
            same. A single file that is named is read whatever it is.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when it is no image, is damaged, holds several series or volumes, or its slices are no single even
            stack: the message names the file, what was expected and what came, gaps in mm.
    """
    choice = one_volume(volume)
    with opened_group(source, series=series, allow=allow, include=include) as group:
        return read_group(group, choice, check_allow(allow))


@contextmanager
def opened_group(
    source: SourcePaths, *, series: str | int | None, allow: Collection[str], include: Collection[str]
) -> Iterator[Group]:
    """The files of one series, readable within the context; what fails there names them.

    Args:
        source, series, allow, include: as in `read_series`.
    """
    allowed, included = check_allow(allow), check_include(include)
    with open_source(source) as opened, kept_pixels():
        found = group_files(opened, mixed="mixed-series" in allowed, include=included)
        group = chosen_group(found, series, source)
        with named_errors(group.name):
            group.check()
            yield group


def read_group(group: Group, choice: Choice, allow: frozenset[str]) -> Series:
    """The series that a group of files makes."""
    return _read_dicom(group, choice, allow) if group.volume is None else _read_volume(group.volume, choice)


def one_volume(volume: Choice) -> Choice:
    """A choice that means one volume."""
    choice = check_volume(volume)
    if choice == ALL:
        raise ValueError("expected as volume the first, a number or a value as echo=1 to read one series, got all")
    return choice


def _read_dicom(group: Group, choice: Choice, allow: frozenset[str]) -> Series:
    (stack,) = stacks_of(group, choice, allow)
    array, padding = stacked_planes(stack)  # (X, Y, Z) each
    present = [frame for frame in stack.frames if frame is not None]
    attributes = {
        **dicom_attributes([frame.file for frame in present]),
        **stated_of(group, stack),
        "rescale": tuple((frame.slope, frame.intercept) for frame in present),
    }
    files = tuple(dict.fromkeys(frame.file.source.name for frame in present))
    risks = (*mixture_of(group), *stack.risks, *_outlying(array))
    return Series(array, stack.affine, files, padding, risks, attributes, stack)


def _outlying(array: np.ndarray) -> tuple[str, ...]:
    found = (outlying_voxels(array), voxels_below_background(array))
    return tuple(sentence for sentence in found if sentence is not None)


def _read_volume(source: SourceFile, choice: Choice) -> Series:
    (place,) = places_of(source, read_volume_header(source), choice)
    header, values = read_volume(source)
    attributes = volume_attributes(header, source)
    bare = header.bare and values.ndim == 3
    if values.ndim == 4:
        values = values[..., place]  # (X, Y, Z)
        attributes["notes"] = (*attributes["notes"], volume_names(header)[place])
    return Series(values, header.affine, (source.name,), risks=_outlying(values), attributes=attributes, bare=bare)
