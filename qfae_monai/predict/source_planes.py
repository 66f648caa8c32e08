"""The source's image planes in slice order, as a result has to name them: instance, frame and place of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID_dictionary

from qfae_monai.predict.dicom_identity import identity_of, lossy_compression, pseudonymous_identity
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading.dicom_frames import Frame
from qfae_monai.reading.dicom_header import DicomFile
from qfae_monai.reading.geometry_risks import Stack
from qfae_monai.reading.series import Series
from qfae_monai.reading.series_files import open_source

__all__ = ["Plane", "SourcePlanes", "source_planes"]

UID_TEXT = re.compile(r"[0-9.]{1,64}")  # zeros in front, which the standard forbids, are frequent and harm nobody
REFUSED = {
    "missing-slice": "a plane that was filled has no source instance to refer to",
    "mixed-series": "a result refers to one series",
    "varying-orientation": "the planes of a result share one orientation",
    "no-position": "the planes have no place in the patient",
    "no-spacing": "the planes have no pixel spacing",
    "mosaic": "its planes are tiles of one image, which no object can refer to",
}
SAME_GRID = 1e-3  # mm


@dataclass(frozen=True)
class Plane:
    """One image plane: its instance, frame number (from 1; None in a single-frame file) and place, mm (LPS)."""

    class_uid: str
    uid: str
    frame: int | None
    position: tuple[float, ...]

    def pseudonymous(self, names: Pseudonyms) -> Plane:
        """The same plane with its UID replaced, and that of its class where it is none of the standard's."""
        known = self.class_uid in UID_dictionary  # a private class may hold a site's own root
        return replace(self, uid=names.uid(self.uid), class_uid=self.class_uid if known else names.uid(self.class_uid))


@dataclass(frozen=True)
class SourcePlanes:
    """A source series, stripped of all that a result does not need.

    Attributes:
        planes: in slice order.
        identity: patient and study.
        series_uid: SeriesInstanceUID.
        frame_of_reference: FrameOfReferenceUID.
        modality: of the source.
        shape: rows, columns.
        orientation: directions along a row and a column, (2, 3).
        spacing: between rows, between columns, mm.
        thickness: of a slice, mm.
        gap: between neighbouring planes along their normal, mm; None where it varies or there is one plane.
        lossy: LossyImageCompression and what belongs to it.
        burned_in: what the source says of annotations burned into its pixels: "NO", or "" where it does not say.
    """

    planes: tuple[Plane, ...]
    identity: Dataset
    series_uid: str
    frame_of_reference: str
    modality: str
    shape: tuple[int, int]
    orientation: np.ndarray
    spacing: tuple[float, float]
    thickness: float
    gap: float | None
    lossy: Dataset
    burned_in: str

    def pseudonymous(self, identity: Dataset, names: Pseudonyms) -> SourcePlanes:
        """The same planes with another identity and each UID replaced."""
        return replace(
            self,
            planes=tuple(plane.pseudonymous(names) for plane in self.planes),
            identity=identity,
            series_uid=names.uid(self.series_uid),
            frame_of_reference=names.uid(self.frame_of_reference),
        )


def source_planes(
    series: Series,
    source: str | PathLike | Sequence[str | PathLike],
    *,
    names: Pseudonyms | None = None,
) -> SourcePlanes:
    """The planes that a series was read from.

    Args:
        series: as `qfae_monai.reading.read_series` gave it.
        source: what was given to it: folder, file, list of files or archive.
        names: replace the identity and each UID.

    Raises:
        ValueError: when the series is no DICOM, or its planes cannot carry a result; says why.
    """
    _check_series(series)
    wanted = {name: place for place, name in enumerate(series.files)}  # file -> its place in the series
    with open_source(source) as opened:
        chosen = sorted((file for file in opened.files if file.name in wanted), key=lambda file: wanted[file.name])
        if len(chosen) != len(wanted):
            raise ValueError(
                f"{series.files[0]}: expected the source that the series was read from, got {source} with "
                f"{len(chosen)} of its {len(wanted)} files"
            )
        with chosen[0].open() as stream:
            first = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    stack = _stack(series)
    _check_headers(list(dict.fromkeys(frame.file for frame in stack.frames if frame is not None)))
    planes = _described(stack, first, str(series.files[0]))
    return planes if names is None else planes.pseudonymous(pseudonymous_identity(first, names), names)


def _check_series(series: Series) -> None:
    title = series.files[0]
    if series.attributes.get("kind") != "DICOM":
        raise ValueError(
            f"{title}: expected a DICOM series to write DICOM objects for, got {series.attributes.get('kind')}"
        )
    for risk in series.risks:
        name = risk.split(":")[0]
        if name in REFUSED:
            raise ValueError(f"{title}: no DICOM objects can be written: {REFUSED[name]} (allowed: {risk})")
    if series.attributes.get("burned_in_annotation"):
        raise ValueError(
            f"{title}: expected pixels without burned-in annotation, got BurnedInAnnotation YES: a parametric map "
            "must not have one, and names in the pixels would be passed on"
        )


def _check_headers(headers: Sequence[DicomFile]) -> None:
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "SOPInstanceUID"):
        values = {str(header.dataset.get(keyword) or "") for header in headers}
        name = next((file.source.name for file in headers if not file.dataset.get(keyword)), headers[0].source.name)
        if "" in values:
            raise ValueError(f"{name}: expected a {keyword} that DICOM objects can refer to, got none")
        if odd := [value for value in values if not UID_TEXT.fullmatch(value)]:
            raise ValueError(
                f"{name}: expected a {keyword} of at most 64 digits and dots, as in the standard, got {len(odd[0])} "
                "letters of another form: DICOM objects must not repeat it"
            )
        if len(values) > 1 and keyword != "SOPInstanceUID":
            raise ValueError(f"{name}: expected one {keyword} in the series, got {len(values)}")
    if len(values) < len(headers):
        raise ValueError(
            f"{headers[0].source.name}: expected a SOPInstanceUID for each of {len(headers)} files, got {len(values)}"
        )


def _stack(series: Series) -> Stack:
    """The planes that the reader put in order; what it was allowed stays allowed, what is refused was refused above."""
    title, stack = str(series.files[0]), series.stack
    if stack is None or any(frame is None or frame.position is None or frame.spacing is None for frame in stack.frames):
        raise ValueError(f"{title}: no DICOM objects can be written: {REFUSED['no-position']}")
    if any(frame is not None and frame.window is not None for frame in stack.frames):
        raise ValueError(f"{title}: no DICOM objects can be written: {REFUSED['mosaic']}")
    if len(stack.frames) != series.array.shape[2] or np.abs(stack.affine - series.affine).max() > SAME_GRID:
        raise ValueError(f"{title}: expected the series as it was read, {len(stack.frames)} slices, got another grid")
    return stack


def _described(stack: Stack, first: Dataset, title: str) -> SourcePlanes:
    frames = [frame for frame in stack.frames if frame is not None]
    orientation, spacing = frames[0].orientation, frames[0].spacing
    assert orientation is not None  # _stack refused frames without a place
    assert spacing is not None
    places = np.array([frame.position for frame in frames])  # (N, 3), mm, LPS
    gaps = np.diff(places @ np.cross(*orientation))  # mm along the normal
    # 2 %: round-off of positions as headers print them
    even = len(gaps) > 0 and float(np.ptp(gaps)) <= 0.02 * float(gaps.mean())
    gap = float(gaps.mean()) if even else None
    return SourcePlanes(
        planes=tuple(_plane(frame) for frame in frames),
        identity=identity_of(first),
        series_uid=str(first.SeriesInstanceUID),
        frame_of_reference=str(first.FrameOfReferenceUID),
        modality=str(first.get("Modality") or "OT"),
        shape=(int(first.Rows), int(first.Columns)),
        orientation=orientation,
        spacing=spacing,
        thickness=_thickness(first) or gap or frames[0].thickness or 1.0,
        gap=gap,
        lossy=lossy_compression(first),
        burned_in="NO" if str(first.get("BurnedInAnnotation") or "").upper() == "NO" else "",
    )


def _plane(frame: Frame) -> Plane:
    dataset = frame.file.dataset
    assert frame.position is not None
    multi_frame = frame.file.frame_count > 1 or "PerFrameFunctionalGroupsSequence" in dataset
    number = frame.index + 1 if multi_frame else None  # DICOM counts frames from 1
    return Plane(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), number, tuple(map(float, frame.position)))


def _thickness(first: Dataset) -> float | None:
    """SliceThickness, of the file or its first frame, mm; None where it is not above 0."""
    groups = [first]
    # where multi-frame files keep it
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups += [measures for group in (first.get(keyword) or [])[:1] for measures in _measures(group)]
    values = [float(group.SliceThickness) for group in groups if group.get("SliceThickness") not in (None, "")]
    return next((value for value in values if np.isfinite(value) and value > 0), None)


def _measures(group: Dataset) -> Sequence[Dataset]:
    return group.get("PixelMeasuresSequence") or []
