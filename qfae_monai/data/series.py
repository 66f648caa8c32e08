"""One series read truthfully: DICOM, NIfTI, NRRD or MetaImage to an array, its affine and what was allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.data.dicom_frames import Frame, frames_of
from qfae_monai.data.dicom_header import DicomFile
from qfae_monai.data.dicom_kinds import KINDS, SINGLE_SLICE, check_include
from qfae_monai.data.dicom_pixels import stored_values
from qfae_monai.data.dicom_values import padding_mask, real_values
from qfae_monai.data.geometry_guard import stack_frames
from qfae_monai.data.geometry_risks import Stack, check_allow
from qfae_monai.data.left_aside import LeftAside
from qfae_monai.data.outlying_voxels import outlying_voxels, voxels_below_background
from qfae_monai.data.quiet_headers import quiet_headers
from qfae_monai.data.series_attributes import dicom_attributes, volume_attributes, whole_number
from qfae_monai.data.series_files import SourceFile, open_source
from qfae_monai.data.series_groups import Group, Grouped, group_files, named_errors
from qfae_monai.data.series_summary import Contents, SeriesSummary
from qfae_monai.data.volume_choice import ALL, Choice, check_volume, chosen_volume
from qfae_monai.data.volume_files import VolumeHeader, read_volume, read_volume_header
from qfae_monai.data.voxel_files import voxel_files
from qfae_monai.machine_memory import check_memory

__all__ = ["Series", "SeriesSummary", "contents_of", "find_series", "read_series"]

VOXEL_BYTES = 4  # of the widest stored DICOM pixel; as many again for real values, and for their float32 copy
SHOWN = 5  # kinds of what was left aside that an error names
Source = str | PathLike | Sequence[str | PathLike]


@dataclass(frozen=True)
class Series:
    """A volume in the patient.

    Args:
        array: (X, Y, Z), real values (HU for CT), in the order in which it was acquired: column, row, slice.
        affine: (4, 4) float64, index to RAS+ mm; sheared where the gantry was tilted.
        files: in slice order, each once; paths within the archive for a .zip.
        padding: (X, Y, Z) boolean, True where there is no measurement: padding value or a filled missing slice. These
            voxels hold the minimum of the others. None where there are none.
        risks: what was allowed, in words with the measured numbers; and "outlying-voxels" and
            "below-background", which are never refused.
        attributes: what the header says, see ``docs/reading.md``; ``notes`` lists what is unusual but no risk.
        stack: of DICOM, the planes in slice order with their headers; None of other formats.
    """

    array: np.ndarray
    affine: np.ndarray
    files: tuple[Path, ...]
    padding: np.ndarray | None = None
    risks: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stack: Stack | None = field(default=None, repr=False, compare=False)


@quiet_headers()
def read_series(
    source: Source,
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
        allow: names of :data:`qfae_monai.data.geometry_risks.RISKS` that may pass; what passed is in ``risks``.
        include: names of :data:`qfae_monai.data.dicom_kinds.INCLUDABLE` that are no scans, and are read all the same.
            A single file that is named is read whatever it is.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when it is no image, is damaged, holds several series or volumes, or its slices are no single even
            stack: the message names the file, what was expected and what came, gaps in mm.
    """
    allowed, choice = check_allow(allow), _one(volume)
    with open_source(source) as opened:
        found = group_files(opened, mixed="mixed-series" in allowed, include=check_include(include))
        group = _choose(found, series, source)
        with named_errors(group.name):
            group.check()
            if group.volume is not None:
                return _read_volume(group.volume, choice)
            return _read_dicom(group, choice, allowed)


def find_series(
    source: Source, *, volume: Choice = None, allow: Collection[str] = (), include: Collection[str] = ()
) -> list[SeriesSummary]:
    """Series of a folder, archive or file, from headers alone; :func:`contents_of` also tells what was left aside.

    Args:
        source, volume, allow, include: as in :func:`contents_of`.
    """
    return list(contents_of(source, volume=volume, allow=allow, include=include).series)


@quiet_headers()
def contents_of(
    source: Source, *, volume: Choice = None, allow: Collection[str] = (), include: Collection[str] = ()
) -> Contents:
    """What a folder, archive or file holds, from headers alone: pixels are not decoded.

    Args:
        source: as in :func:`read_series`.
        volume: as in :func:`read_series`; `all` gives a summary for each volume.
        allow: as in :func:`read_series`.
        include: as in :func:`read_series`.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when an archive is damaged, or an argument has an unknown name.
    """
    allowed, choice, included = check_allow(allow), check_volume(volume), check_include(include)
    with open_source(source) as opened:
        found = group_files(opened, mixed="mixed-series" in allowed, include=included)
        summaries: list[SeriesSummary] = []
        aside = found.aside
        for group in found.groups:
            for summary in _summaries(group, choice, allowed):
                flat = summary.shape is not None and min(summary.shape) == 1 and not summary.picture
                if flat and not opened.alone and not summary.category:
                    aside.append(LeftAside(summary.files[0], SINGLE_SLICE, KINDS[SINGLE_SLICE]))
                else:
                    summaries.append(replace(summary, refusal=_flat(summary)) if flat else summary)
        detached = _detached(summaries)
        return Contents(
            tuple(summaries),
            tuple(file.name for file in found.pictures),
            tuple(one for one in aside if one.path not in detached),
        )


def _flat(summary: SeriesSummary) -> str:
    return (
        f"{summary.files[0]}: expected a volume of several slices, got one slice; a single image is scored as PNG, "
        "JPEG, BMP or TIFF, or as radiograph in DICOM, by a model that was trained on images"
    )


def _one(volume: Choice) -> Choice:
    choice = check_volume(volume)
    if choice == ALL:
        raise ValueError("expected as volume the first, a number or a value as echo=1 to read one series, got all")
    return choice


def _detached(summaries: Sequence[SeriesSummary]) -> set[Path]:
    """Files that hold the voxels of another one."""
    found: set[Path] = set()
    for summary in summaries:
        if summary.kind in ("MetaImage", "NRRD"):
            try:
                found.update(voxel_files(summary.files[0]))
            except (ValueError, OSError):  # the reader refuses it with the reason
                continue
    return found


def _choose(found: Grouped, series: str | int | None, source: Source) -> Group:
    groups = found.groups
    if not groups:
        raise ValueError(_nothing(found, source))
    if series is None and len(groups) == 1:
        return groups[0]
    described = [(group, _description(group)) for group in groups]
    if series is None:
        for group in groups:  # a damaged image that belongs to nothing may belong to what is asked for
            if not group.dicom and group.volume is None:
                group.check()
    chosen = described if series is None else [pair for pair in described if pair[1].matches(series)]
    if len(chosen) == 1:
        return chosen[0][0]
    wanted = "one series, or a name to choose one of them" if series is None else f"one series named {series!r}"
    listed = "; ".join(str(summary) for _, summary in (chosen or described)[:20])
    more = f"; and {len(chosen or described) - 20} more" if len(chosen or described) > 20 else ""
    count = f"{len(chosen)} of {len(groups)}" if series is not None else str(len(groups))
    raise ValueError(f"{_title(source)}: expected {wanted}, got {count}: {listed}{more} [mixed-series].")


def _nothing(found: Grouped, source: Source) -> str:
    reasons = list(dict.fromkeys(f"{one.kind} ({one.reason})" for one in found.aside))
    aside = f"; left aside: {'; '.join(reasons[:SHOWN])}" if reasons else ""
    return f"{_title(source)}: expected DICOM, NIfTI, NRRD or MetaImage images, got none{aside}."


def _title(source: Source) -> str:
    if isinstance(source, str | PathLike):
        return str(source)
    files = list(source)
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"


def _description(group: Group) -> SeriesSummary:
    """What the headers call a series."""
    if group.dicom:
        dataset = group.dicom[0].dataset
        return SeriesSummary(
            "DICOM",
            (*(file.source.name for file in group.dicom), *(file.name for file in group.damaged)),
            uid=str(dataset.get("SeriesInstanceUID") or ""),
            number=whole_number(dataset, "SeriesNumber"),
            description=str(dataset.get("SeriesDescription") or ""),
            category="" if group.kind == SINGLE_SLICE else group.kind,
            picture=group.is_picture,
        )
    return SeriesSummary("unreadable", (group.name,), description=group.name.name)


def _summaries(group: Group, choice: Choice, allow: frozenset[str]) -> list[SeriesSummary]:
    """One of each chosen volume; one that says why where the series would be refused."""
    summary = SeriesSummary("unreadable", tuple(file.source.name for file in group.dicom) or (group.name,))
    try:
        with named_errors(group.name):
            summary = _description(group)
            if group.dicom:
                summary = replace(summary, attributes=dicom_attributes(group.dicom))
            group.check()
            if group.volume is not None:
                header = read_volume_header(group.volume)
                summary = replace(summary, kind=header.kind, attributes=volume_attributes(header, group.volume))
                return [
                    replace(summary, shape=header.shape[:3], affine=header.affine, volume=_number(place, header))
                    for place in _places(group.volume, header, choice)
                ]
            stacks = _stacks(group, choice, allow)
    except ValueError as error:
        return [replace(summary, refusal=str(error))]
    return [
        replace(
            summary,
            shape=stack.shape,
            affine=stack.affine,
            risks=(*_mixture(group), *stack.risks),
            attributes={**summary.attributes, **_of_stack(group, stack)},
            volume=stack.number if len(stack.volumes) > 1 else None,
        )
        for stack in stacks
    ]


def _of_stack(group: Group, stack: Stack) -> dict[str, Any]:
    excess = sum(file.excess > 0 for file in group.dicom)
    behind = [f"{excess} files have bytes behind their pixels, which are left out"] if excess else []
    if any(file.mosaic is not None for file in group.dicom):
        behind.append("slices taken from sheets on which they lie side by side (mosaic)")
    return {"notes": (*group.notes, *behind, *stack.notes), "volumes": len(stack.volumes)}


def _mixture(group: Group) -> tuple[str, ...]:
    uids = sorted({str(file.dataset.get("SeriesInstanceUID")) for file in group.dicom})
    return (f"mixed-series: {len(uids)} series read as one",) if len(uids) > 1 else ()


def _stacks(group: Group, choice: Choice, allow: frozenset[str]) -> tuple[Stack, ...]:
    frames = [frame for file in group.dicom for frame in frames_of(file)]
    name = group.dicom[0].source.name
    title = str(name if len(group.dicom) == 1 else name.parent)
    return stack_frames(frames, title=title, volume=choice, allow=allow)


def _read_dicom(group: Group, choice: Choice, allow: frozenset[str]) -> Series:
    (stack,) = _stacks(group, choice, allow)
    shape = stack.shape
    what = f"a series of {' x '.join(map(str, shape))} voxels"
    check_memory(group.dicom[0].source.name, 3 * VOXEL_BYTES * int(np.prod(shape, dtype=object)), what)
    planes: list[np.ndarray | None] = []
    masks: list[np.ndarray | None] = []
    cache = _Decoded()
    for frame in stack.frames:
        if frame is None:
            planes.append(None)
            masks.append(None)
            continue
        stored = cache.frame(frame)
        masks.append(padding_mask(frame, stored))
        planes.append(real_values(frame, stored))
    array, padding = _assemble(planes, masks, shape)
    present = [frame for frame in stack.frames if frame is not None]
    attributes = {
        **dicom_attributes([frame.file for frame in present]),
        **_of_stack(group, stack),
        "rescale": tuple((frame.slope, frame.intercept) for frame in present),
    }
    files = tuple(dict.fromkeys(frame.file.source.name for frame in present))
    risks = (*_mixture(group), *stack.risks, *_outlying(array))
    return Series(array, stack.affine, files, padding, risks, attributes, stack)


def _outlying(array: np.ndarray) -> tuple[str, ...]:
    found = (outlying_voxels(array), voxels_below_background(array))
    return tuple(sentence for sentence in found if sentence is not None)


def _assemble(
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


def _volume_names(header: VolumeHeader) -> list[str]:
    count = header.shape[3] if len(header.shape) > 3 else 1
    return [f"volume {number} of {count}" for number in range(1, count + 1)]


def _number(place: int, header: VolumeHeader) -> int | None:
    return place + 1 if len(header.shape) > 3 else None


def _places(source: SourceFile, header: VolumeHeader, choice: Choice) -> tuple[int, ...]:
    """Which volumes along the fourth axis are meant, from 0."""
    if len(header.shape) > 4:
        raise ValueError(f"{source.name}: expected 3 axes, or 4 with volumes, got shape {header.shape}.")
    names = _volume_names(header)
    return chosen_volume(choice, names, [{} for _ in names], str(source.name))


def _read_volume(source: SourceFile, choice: Choice) -> Series:
    (place,) = _places(source, read_volume_header(source), choice)
    header, values = read_volume(source)
    attributes = volume_attributes(header, source)
    if values.ndim == 4:
        values = values[..., place]
        attributes["notes"] = (*attributes["notes"], _volume_names(header)[place])
    return Series(values, header.affine, (source.name,), risks=_outlying(values), attributes=attributes)
