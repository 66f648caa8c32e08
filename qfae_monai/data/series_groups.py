"""Which files make one series: of one patient, study, series and frame of reference; without copies, damage told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from qfae_monai.data.dicom_header import DamagedFile, DicomFile, NotAnImage, NotDicom
from qfae_monai.data.dicom_kinds import INCLUDABLE, KINDS, PICTURE_MODALITIES, SINGLE_SLICE
from qfae_monai.data.dicom_pixels import pixel_bytes, stored_values
from qfae_monai.data.kept_headers import header_of
from qfae_monai.data.left_aside import LeftAside
from qfae_monai.data.series_files import Opened, SourceFile

__all__ = ["Group", "Grouped", "group_files", "named_errors"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
OWN_RESULTS = frozenset({"image.nii.gz", "anomaly_map.nii.gz", "mask.nii.gz", "overlay.png"})
SHOWN = 3  # damaged files that a refusal names
START = 512  # bytes of a result's record that tell whose it is


@dataclass
class Group:
    """Files that make one series, or one file that cannot be read.

    Attributes:
        identity: of DICOM: series, patient, study, frame of reference, kind; and object where each is an image.
        dicom: headers.
        volume: the file of another format.
        problems: why it is refused: what is wrong with damaged files that belong to it.
        damaged: these files.
        source: the file that cannot be read, where it belongs to nothing.
        notes: what was found in putting it together.
        kind: of ``KINDS``, of what has pixels; empty for a scan.
    """

    identity: tuple[str, ...]
    dicom: list[DicomFile] = field(default_factory=list)
    volume: SourceFile | None = None
    problems: list[ValueError] = field(default_factory=list)
    damaged: list[SourceFile] = field(default_factory=list)
    source: SourceFile | None = None
    notes: list[str] = field(default_factory=list)
    kind: str = ""

    @property
    def name(self) -> Path:
        """Of its first file."""
        file = self.dicom[0].source if self.dicom else self.volume or self.source
        assert file is not None
        return file.name

    @property
    def is_picture(self) -> bool:
        """Whether it is one image by itself, such as a radiograph."""
        return len(self.dicom) == 1 and _is_picture(self.dicom[0])

    def check(self) -> None:
        """Refuse a series with damaged files: what is left of it would be taken for all of it.

        Raises:
            ValueError: names them.
        """
        if not self.problems:
            return
        if not self.damaged:
            raise self.problems[0]
        shown = "; ".join(str(problem) for problem in self.problems[:SHOWN])
        total = len(self.dicom) + len(self.damaged)
        raise ValueError(f"{self.name.parent}: {len(self.damaged)} of the {total} files of the series damaged: {shown}")


@dataclass
class Grouped:
    """What a source holds.

    Attributes:
        groups: series, volumes and files that cannot be read.
        pictures: image files.
        aside: what is none of these.
    """

    groups: list[Group] = field(default_factory=list)
    pictures: list[SourceFile] = field(default_factory=list)
    aside: list[LeftAside] = field(default_factory=list)


def group_files(opened: Opened, *, mixed: bool = False, include: Collection[str] = ()) -> Grouped:
    """Sort the files of a source into series; what is no scan is left aside, unless it is the one file that was named.

    Args:
        opened: the source.
        mixed: whether several series make one; those of other patients, studies and frames of reference never do.
        include: names of ``INCLUDABLE`` that are taken as scans.
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
    groups = [_without_copies(group, found.aside) for group in _one_frame_each(by_identity)]
    for file, problem in damaged:
        _attribute(file, problem, groups, found, named=opened.named)
    for group in groups:
        if not group.kind and not group.problems and not group.is_picture and _is_one_slice(group):
            group.kind = SINGLE_SLICE
        if group.kind and group.kind not in include and not opened.alone:
            found.aside.append(replace(_aside(group.name, group.kind), files=len(group.dicom)))
        else:
            found.groups.append(group)
    _note_shared_uids(found.groups)
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


@contextmanager
def named_errors(name: Path) -> Iterator[None]:
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


def _is_picture(header: DicomFile) -> bool:
    return header.frame_count == 1 and str(header.values.get("Modality")) in PICTURE_MODALITIES and not header.kind


def _is_one_slice(group: Group) -> bool:
    return len(group.dicom) == 1 and group.dicom[0].frame_count == 1 and group.dicom[0].mosaic is None


def _text(header: Mapping[str, Any] | Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


def _identity(header: DicomFile, *, mixed: bool) -> tuple[str, ...]:
    """What all files of a series share; its first entry is the series' own."""
    values = header.values
    series = "" if mixed else _text(values, "SeriesInstanceUID") or f"files in {header.source.name.parent}"
    patient = _text(values, "PatientID") or _text(values, "PatientName")
    alone = _text(values, "SOPInstanceUID") or str(header.source.name) if _is_picture(header) else ""
    return (series, patient, _text(values, "StudyInstanceUID"), _text(values, "FrameOfReferenceUID"), header.kind,
            alone)  # fmt: skip


def _one_frame_each(groups: dict[tuple[str, ...], Group]) -> list[Group]:
    """The groups; but slices that each have a frame of reference of their own are one series, which is refused."""
    whole: dict[tuple[str, ...], list[Group]] = {}
    for (*first, frame, kind, alone), group in groups.items():
        whole.setdefault((*first, kind, alone or frame if kind or alone else ""), []).append(group)
    found = []
    for several in whole.values():
        if len(several) > 2 and all(_is_one_slice(group) for group in several):
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


def _without_copies(group: Group, aside: list[LeftAside]) -> Group:
    """The group with each object once; what has an object's UID and other pixels stays, for the guard to refuse."""
    kept: dict[str, list[DicomFile]] = {}
    copies = 0
    for header in group.dicom:
        same = kept.setdefault(_text(header.values, "SOPInstanceUID") or str(header.source.name), [])
        twin = next((one for one in same if _is_copy(header, one)), None)
        if twin is None:
            same.append(header)
        else:
            copies += 1
            aside.append(LeftAside(header.source.name, "copy", "the same object as another file"))
    if copies:
        group.dicom = [header for same in kept.values() for header in same]
        group.notes.append(f"{copies} identical copies left out")
    return group


def _is_copy(one: DicomFile, other: DicomFile) -> bool:
    """Whether two files hold the same image in the same place."""
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns", "RescaleSlope"):
        if one.values.get(keyword) != other.values.get(keyword):
            return False
    try:
        if one.syntax == other.syntax and pixel_bytes(one) == pixel_bytes(other):
            return True
        return bool(np.array_equal(stored_values(one), stored_values(other)))
    except ValueError:  # one of them is damaged: no copy
        return False


def _attribute(file: SourceFile, error: ValueError, groups: list[Group], found: Grouped, *, named: bool) -> None:
    """Give a file that cannot be read to the series that it belongs to, by its header, else by its folder and name."""
    dataset = error.dataset if isinstance(error, DamagedFile) else None
    owners = [] if dataset is None else [group for group in groups if _belongs(dataset, group)]
    beside = [group for group in groups if any(one.source.name.parent == file.name.parent for one in group.dicom)]
    if not owners and len(beside) == 1 and (dataset is None or not _text(dataset, "SeriesInstanceUID")):
        like = {_pattern(one.source.name) for one in beside[0].dicom}
        owners = beside if _pattern(file.name) in like else []
    if owners:
        for group in owners:
            group.problems.append(error)
            group.damaged.append(file)
    elif isinstance(error, NotDicom) and not named:
        found.aside.append(LeftAside(file.name, "no image", "its content is none of the formats that are read"))
    else:
        found.groups.append(Group((str(file.name),), problems=[error], source=file))


def _belongs(dataset: Dataset, group: Group) -> bool:
    """Whether what is left of a header is that of a series' files; what it does not say is no contradiction."""
    first = group.dicom[0].values
    if not _text(dataset, "SeriesInstanceUID"):
        return False
    keywords = ("SeriesInstanceUID", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
    return all(_text(dataset, word) in ("", _text(first, word)) for word in keywords)


def _pattern(name: Path) -> str:
    """A file's name without its numbers; nothing where it has none."""
    text = re.sub(r"\d+", "#", name.name)
    return f"{name.parent}/{text}" if "#" in text else str(name)


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
