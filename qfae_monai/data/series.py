"""One series read truthfully: DICOM, NIfTI, NRRD or MetaImage to an array, its affine and what was allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.data.dicom_frames import Frame, frames_of
from qfae_monai.data.dicom_header import DicomFile, NotAnImage, NotDicom
from qfae_monai.data.dicom_pixels import stored_values
from qfae_monai.data.dicom_values import padding_mask, real_values
from qfae_monai.data.geometry_guard import stack_frames
from qfae_monai.data.geometry_risks import Stack, check_allow
from qfae_monai.data.kept_headers import header_of
from qfae_monai.data.outlying_voxels import outlying_voxels, voxels_below_background
from qfae_monai.data.series_attributes import dicom_attributes, volume_attributes, whole_number
from qfae_monai.data.series_files import SourceFile, open_source
from qfae_monai.data.volume_files import read_volume, read_volume_header
from qfae_monai.machine_memory import check_memory

__all__ = ["Series", "SeriesSummary", "find_series", "read_series"]

VOXEL_BYTES = 4  # of the widest stored DICOM pixel; as many again for real values, and for their float32 copy
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
    """

    array: np.ndarray
    affine: np.ndarray
    files: tuple[Path, ...]
    padding: np.ndarray | None = None
    risks: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SeriesSummary:
    """A series that was found, from headers alone.

    Args:
        kind: "DICOM", "NIfTI", "NRRD", "MetaImage", or "unreadable".
        files: its files.
        uid: SeriesInstanceUID; empty for other formats.
        number: SeriesNumber.
        description: SeriesDescription, or the file's name.
        shape: (X, Y, Z) as it would be read; None where it would be refused.
        affine: (4, 4), index to RAS+ mm; None where it would be refused.
        refusal: why it would be refused; None where the headers are accepted.
        risks: what was allowed.
        attributes: as in :class:`Series`.
    """

    kind: str
    files: tuple[Path, ...]
    uid: str = ""
    number: int | None = None
    description: str = ""
    shape: tuple[int, ...] | None = None
    affine: np.ndarray | None = None
    refusal: str | None = None
    risks: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def matches(self, series: str | int) -> bool:
        """Whether a UID, number, description or file name names this series."""
        file = self.files[0]
        names = {self.uid, self.description, str(self.number), file.name, str(file)} - {"", "None"}
        return str(series) in names

    def __str__(self) -> str:
        number = "-" if self.number is None else self.number
        return (
            f"number {number}, {self.description or 'no description'!r}, {len(self.files)} files, UID {self.uid or '-'}"
        )


@dataclass
class _Group:
    """Files that make one series."""

    key: str
    dicom: list[DicomFile] = field(default_factory=list)
    volume: SourceFile | None = None
    problem: ValueError | None = None
    source: SourceFile | None = None

    @property
    def name(self) -> Path:
        """Of its first file."""
        file = self.dicom[0].source if self.dicom else self.volume or self.source
        assert file is not None
        return file.name


def read_series(
    source: Source,
    *,
    series: str | int | None = None,
    time_point: int | None = None,
    allow: Collection[str] = (),
) -> Series:
    """Read one series with its true geometry, or refuse it.

    DICOM slices are sorted by position, rescaled slice by slice, MONOCHROME1 is inverted (within the stored bits, so
    that bright is dense in each file alike), padding takes the minimum of the other voxels.

    Args:
        source: folder, file, list of files or .zip archive of DICOM; or a NIfTI, NRRD or MetaImage file.
        series: SeriesInstanceUID, SeriesNumber, description or file name, where several series lie together.
        time_point: which volume, from 0, where positions repeat (time points, echoes, segments; the fourth axis of a
            NIfTI).
        allow: names of :data:`qfae_monai.data.geometry_risks.RISKS` that may pass; what passed is in ``risks``.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when it is no image, is damaged, holds several series, or its slices are no single even stack: the
            message names the file, what was expected and what came, gaps in mm.
    """
    allowed = check_allow(allow)
    with open_source(source) as (files, named):
        group = _choose(_groups(files, named, "mixed-series" in allowed), series, source)
        with _named_errors(group.name):
            if group.volume is not None:
                return _read_volume(group.volume, time_point)
            return _read_dicom(group, time_point, allowed, _mixture(group))


def find_series(source: Source, *, time_point: int | None = None, allow: Collection[str] = ()) -> list[SeriesSummary]:
    """What a folder, archive or file holds, from headers alone: pixels are not decoded.

    Args:
        source: as in :func:`read_series`.
        time_point: as in :func:`read_series`.
        allow: as in :func:`read_series`.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when an archive is damaged, or ``allow`` has an unknown name.
    """
    allowed = check_allow(allow)
    with open_source(source) as (files, named):
        groups = _groups(files, named, "mixed-series" in allowed, collect=True)
        return [_summary(group, time_point, allowed) for group in groups]


@contextmanager
def _named_errors(name: Path) -> Iterator[None]:
    """Whatever a damaged file leads to, in reading its header too, becomes a ValueError with its name."""
    try:
        yield
    except ValueError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # errors of decoders written in Rust are no Exception
        raise ValueError(
            f"{name}: expected a readable series, got a damaged one ({type(error).__name__}: {error})."
        ) from error


def _groups(files: list[SourceFile], named: bool, mixed: bool, collect: bool = False) -> list[_Group]:
    """Files by series. In a folder, what is no image is left aside; a damaged image is an error unless collected."""
    groups: dict[str, _Group] = {}
    for file in files:
        if file.is_volume:
            groups[str(file.name)] = _Group(str(file.name), volume=file)
            continue
        try:
            with _named_errors(file.name):
                header = header_of(file, named)
                uid = str(header.dataset.get("SeriesInstanceUID") or f"files in {file.name.parent}")
        except (NotDicom, NotAnImage) as error:
            if collect and (named or isinstance(error, NotAnImage)):
                groups[str(file.name)] = _Group(str(file.name), problem=error, source=file)
            elif named and not collect:
                raise
            continue
        except ValueError as error:
            if not collect:
                raise
            groups[str(file.name)] = _Group(str(file.name), problem=error, source=file)
            continue
        key = "mixed" if mixed else uid
        groups.setdefault(key, _Group(key)).dicom.append(header)
    return list(groups.values())


def _choose(groups: list[_Group], series: str | int | None, source: Source) -> _Group:
    if not groups:
        raise ValueError(f"{_title(source)}: expected DICOM, NIfTI, NRRD or MetaImage images, got none.")
    if series is None and len(groups) == 1:
        return groups[0]
    described = [(group, _description(group)) for group in groups]
    found = described if series is None else [pair for pair in described if pair[1].matches(series)]
    if len(found) == 1:
        return found[0][0]
    wanted = "one series, or a name to choose one of them" if series is None else f"one series named {series!r}"
    listed = "; ".join(str(summary) for _, summary in (found or described)[:20])
    more = f"; and {len(found or described) - 20} more" if len(found or described) > 20 else ""
    count = f"{len(found)} of {len(groups)}" if series is not None else str(len(groups))
    raise ValueError(f"{_title(source)}: expected {wanted}, got {count}: {listed}{more} [mixed-series].")


def _title(source: Source) -> str:
    if isinstance(source, str | PathLike):
        return str(source)
    files = list(source)
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"


def _description(group: _Group) -> SeriesSummary:
    """What the headers call a series."""
    if group.dicom:
        dataset = group.dicom[0].dataset
        return SeriesSummary(
            "DICOM",
            tuple(file.source.name for file in group.dicom),
            uid=str(dataset.get("SeriesInstanceUID") or ""),
            number=whole_number(dataset, "SeriesNumber"),
            description=str(dataset.get("SeriesDescription") or ""),
        )
    return SeriesSummary("unreadable", (group.name,), description=group.name.name)


def _summary(group: _Group, time_point: int | None, allow: frozenset[str]) -> SeriesSummary:
    if group.problem is not None:
        return _with(_description(group), refusal=str(group.problem))
    summary = SeriesSummary("unreadable", tuple(file.source.name for file in group.dicom) or (group.name,))
    try:
        with _named_errors(group.name):
            summary = _description(group)
            if group.volume is not None:
                header = read_volume_header(group.volume)
                summary = _with(summary, kind=header.kind, attributes=volume_attributes(header, group.volume))
                shape = _check_time(group.volume, header.shape, time_point)
                return _with(summary, shape=shape, affine=header.affine)
            summary = _with(summary, attributes=dicom_attributes(group.dicom))
            stack = _stack(group, time_point, allow)
    except ValueError as error:
        return _with(summary, refusal=str(error))
    return _with(
        summary,
        shape=_shape(stack),
        affine=stack.affine,
        risks=(*_mixture(group), *stack.risks),
        attributes={**summary.attributes, "notes": stack.notes, "volumes": stack.volumes},
    )


def _with(summary: SeriesSummary, **changes: Any) -> SeriesSummary:
    return SeriesSummary(**{**summary.__dict__, **changes})


def _mixture(group: _Group) -> tuple[str, ...]:
    uids = sorted({str(file.dataset.get("SeriesInstanceUID")) for file in group.dicom})
    return (f"mixed-series: {len(uids)} series read as one",) if len(uids) > 1 else ()


def _stack(group: _Group, time_point: int | None, allow: frozenset[str]) -> Stack:
    frames = [frame for file in group.dicom for frame in frames_of(file)]
    name = group.dicom[0].source.name
    title = str(name if len(group.dicom) == 1 else name.parent)
    return stack_frames(frames, title=title, time_point=time_point, allow=allow)


def _shape(stack: Stack) -> tuple[int, int, int]:
    dataset = next(frame for frame in stack.frames if frame is not None).file.dataset
    return int(dataset.Columns), int(dataset.Rows), len(stack.frames)


def _read_dicom(group: _Group, time_point: int | None, allow: frozenset[str], mixture: tuple[str, ...]) -> Series:
    stack = _stack(group, time_point, allow)
    shape = _shape(stack)
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
    files = tuple(dict.fromkeys(frame.file.source.name for frame in stack.frames if frame is not None))
    attributes = {
        **dicom_attributes([frame.file for frame in stack.frames if frame is not None]),
        "notes": stack.notes,
        "volumes": stack.volumes,
        "rescale": tuple((frame.slope, frame.intercept) for frame in stack.frames if frame is not None),
    }
    return Series(array, stack.affine, files, padding, (*mixture, *stack.risks, *_outlying(array)), attributes)


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
        return self.values[frame.index]


def _check_time(source: SourceFile, shape: tuple[int, ...], time_point: int | None) -> tuple[int, ...]:
    """Spatial shape, once it is clear which time point is meant."""
    if len(shape) == 3:
        if time_point not in (None, 0):
            raise ValueError(f"{source.name}: expected time_point 0 of the one volume there is, got {time_point}.")
        return shape
    if len(shape) > 4:
        raise ValueError(f"{source.name}: expected 3 axes, or 4 with time, got shape {shape}.")
    if time_point is None:
        raise ValueError(f"{source.name}: expected one volume, got {shape[3]} time points: choose with time_point.")
    if not 0 <= time_point < shape[3]:
        raise ValueError(f"{source.name}: expected a time_point 0 to {shape[3] - 1}, got {time_point}.")
    return shape[:3]


def _read_volume(source: SourceFile, time_point: int | None) -> Series:
    _check_time(source, read_volume_header(source).shape, time_point)
    header, values = read_volume(source)
    if values.ndim == 4:
        values = values[..., time_point or 0]
    return Series(
        values, header.affine, (source.name,), risks=_outlying(values), attributes=volume_attributes(header, source)
    )
