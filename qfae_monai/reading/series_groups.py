"""Grouping of files into series: one patient, study and frame of reference each; no copies; damage is reported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from qfae_monai.reading.damaged_files import give_to_series, without_copies
from qfae_monai.reading.dicom_file import DicomFile, NotAnImage
from qfae_monai.reading.dicom_header import header_of
from qfae_monai.reading.left_aside import INCLUDABLE, KINDS, SINGLE_SLICE, LeftAside
from qfae_monai.reading.series_files import Opened, SourceFile
from qfae_monai.reading.series_group import Group, Grouped, is_one_slice, is_picture, named_errors, text_of

__all__ = ["group_files"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
OWN_RESULTS = frozenset({"image.nii.gz", "anomaly_map.nii.gz", "mask.nii.gz", "overlay.png", "scores.json"})
START = 512  # bytes of a result's record that tell whose it is


def group_files(opened: Opened, *, mixed: bool = False, include: Collection[str] = ()) -> Grouped:
    """Sort the files of a source into series; what is no scan is left aside, unless it is the one file that was named.

    Args:
        opened: the source.
        mixed: whether several series make one; those of other patients, studies and frames of reference never do.
        include: names of `INCLUDABLE` that are taken as scans.
    """
    found = Grouped(aside=list(opened.aside))
    by_identity: dict[tuple[str, ...], Group] = {}
    damaged: list[tuple[SourceFile, ValueError]] = []
    for file in _other_files(opened, found, include):
        try:
            with named_errors(file.name):
                header = header_of(file)
                identity = _identity(header, mixed=mixed)
            by_identity.setdefault(identity, Group(identity, kind=header.kind)).dicom.append(header)
        except NotAnImage as error:
            if not opened.named:
                found.aside.append(LeftAside(file.name, error.kind, KINDS[error.kind]))
            else:
                damaged.append((file, error))
        except ValueError as error:
            damaged.append((file, error))
    groups = [without_copies(group, found.aside) for group in _one_frame_each(_joined(by_identity))]
    for file, problem in damaged:
        give_to_series(file, problem, groups, found, named=opened.named)
    for group in groups:
        if not group.kind and not group.problems and not group.is_picture and is_one_slice(group):
            group.kind = SINGLE_SLICE
        if group.kind and group.kind not in include and not opened.alone:
            found.aside.append(replace(_aside(group.name, group.kind), files=len(group.dicom)))
        else:
            found.groups.append(group)
    _note_shared_uids([group for group in groups if group.kind in ("", SINGLE_SLICE)])
    found.groups.sort(key=lambda group: str(group.name))
    return found


def _other_files(opened: Opened, found: Grouped, include: Collection[str]) -> Iterator[SourceFile]:
    """Files that may be DICOM, once volumes, image files and own results are sorted out by their names."""
    own = set() if opened.named or "own-result" in include else _result_folders(opened.files)
    for file in opened.files:
        if file.name.parent in own and file.name.name in OWN_RESULTS:
            found.aside.append(_aside(file.name, "own-result"))
        elif file.is_volume and not _has_prefix(file):
            found.groups.append(Group((str(file.name),), volume=file))
        elif file.name.suffix.lower() in PICTURE_SUFFIXES and not _has_prefix(file):
            found.pictures.append(file)
        else:
            yield file


def _aside(name: Path, kind: str) -> LeftAside:
    how = f"; --include {kind} takes it in" if kind in INCLUDABLE else ""
    return LeftAside(name, kind, KINDS[kind] + how)


def _result_folders(files: Iterable[SourceFile]) -> set[Path]:
    """Folders that `qfae predict` wrote."""
    folders = set()
    for file in files:
        if file.name.name == "scores.json":
            with named_errors(file.name), file.open() as stream:
                start = stream.read(START)
            if b'"study"' in start and b'"input_sha256"' in start:
                folders.add(file.name.parent)
    return folders


def _has_prefix(file: SourceFile) -> bool:
    """Whether a file is DICOM whatever its suffix says."""
    try:
        with file.open() as stream:
            return stream.read(132)[128:] == b"DICM"
    except Exception:  # of an archive's member, which fails again where it is read
        return False


def _identity(header: DicomFile, *, mixed: bool) -> tuple[str, ...]:
    """Key that all files of a series share; its first entry identifies the series itself."""
    values = header.values
    series = "" if mixed else text_of(values, "SeriesInstanceUID") or f"files in {header.source.name.parent}"
    patient = text_of(values, "PatientID") or text_of(values, "PatientName")
    alone = text_of(values, "SOPInstanceUID") or str(header.source.name) if is_picture(header) else ""
    return (
        series,
        patient,
        text_of(values, "StudyInstanceUID"),
        text_of(values, "FrameOfReferenceUID"),
        header.kind,
        alone,
    )


def _joined(groups: dict[tuple[str, ...], Group]) -> dict[tuple[str, ...], Group]:
    """The groups; but files without patient, study or frame of reference join the one that they do not contradict."""
    by_series: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for identity in groups:
        by_series.setdefault((identity[0], *identity[4:]), []).append(identity)
    for several in by_series.values():
        for identity in [one for one in several if "" in one[1:4]]:
            fitting = [other for other in several if other != identity and _could_be(identity[1:4], other[1:4])]
            if len(fitting) == 1:
                several.remove(identity)
                joined = groups[fitting[0]]
                joined.dicom += groups.pop(identity).dicom
                joined.dicom.sort(key=lambda file: str(file.source.name))
                joined.notes.append("patient, study or frame of reference is empty in some files: taken as the others'")
    return groups


def _could_be(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two say the same where the first says something."""
    return all(mine in ("", others) for mine, others in zip(one, other, strict=True))


def _one_frame_each(groups: dict[tuple[str, ...], Group]) -> list[Group]:
    """The groups; but slices that each have a frame of reference of their own are one series, which is refused."""
    whole: dict[tuple[str, ...], list[Group]] = {}
    for (*first, frame, kind, alone), group in groups.items():
        whole.setdefault((*first, kind, alone or frame if kind or alone else ""), []).append(group)
    found = []
    for several in whole.values():
        if len(several) > 2 and all(is_one_slice(group) for group in several):
            merged = replace(several[0], dicom=[group.dicom[0] for group in several])
            merged.problems = [
                ValueError(
                    f"{merged.name.parent}: expected one FrameOfReferenceUID in a series, got {len(several)} in as "
                    "many slices: nothing says that they lie in one patient's space [frames-of-reference]"
                )
            ]
            found.append(merged)
        else:
            found += several
    return found


def _note_shared_uids(groups: list[Group]) -> None:
    """Say of series that were told apart by patient, study or frame of reference that their UID is one."""
    by_uid: dict[str, list[Group]] = {}
    for group in groups:
        if group.dicom and group.identity[0] and not group.is_picture:
            by_uid.setdefault(group.identity[0], []).append(group)
    for several in by_uid.values():
        names = ("patients", "studies", "frames of reference")
        differ = [name for place, name in enumerate(names, 1) if len({g.identity[place] for g in several}) > 1]
        if differ:
            for group in several:
                group.notes.append(f"its series UID is also that of slices of other {' and '.join(differ)}: read apart")
