"""Files that are not read: damaged ones, and copies of an object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from qfae_monai.reading.dicom_file import DamagedFile, DicomFile, NotDicom
from qfae_monai.reading.dicom_pixels import pixel_bytes, stored_values
from qfae_monai.reading.left_aside import LeftAside
from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.series_group import Group, Grouped, text_of

__all__ = ["give_to_series", "without_copies"]

# Copies of an object: dropped where they are the same, kept for the guard to refuse where they are not.

SAME = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
)
PHOTOMETRIC, INVERTED = "PhotometricInterpretation", "MONOCHROME1"  # of colour it may change with the compression


def without_copies(group: Group, aside: list[LeftAside]) -> Group:
    """The group with each object once; what has an object's UID and other pixels stays, for the guard to refuse."""
    kept: dict[str, list[DicomFile]] = {}
    copies = 0
    for header in group.dicom:
        same = kept.setdefault(text_of(header.values, "SOPInstanceUID") or str(header.source.name), [])
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
    """Whether two files hold the same image in the same place, of the same real values."""
    if any(one.values.get(keyword) != other.values.get(keyword) for keyword in SAME):
        return False
    if (one.values.get(PHOTOMETRIC) == INVERTED) != (other.values.get(PHOTOMETRIC) == INVERTED):
        return False
    try:
        if one.syntax == other.syntax and pixel_bytes(one) == pixel_bytes(other):
            return True
        return bool(np.array_equal(stored_values(one), stored_values(other)))
    except ValueError:  # one of them is damaged: no copy
        return False


# Damaged files given to the series that they belong to, which is refused with them: part of it is not all of it.

SERIES = "SeriesInstanceUID"
OTHERS = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
SUFFIXES = (".dcm", ".dicom", ".ima")  # of files that are DICOM, or were
NUMBER = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*")


def give_to_series(file: SourceFile, error: ValueError, groups: list[Group], found: Grouped, *, named: bool) -> None:
    """Give a file that cannot be read to the series that it belongs to, by its header, else by its folder and name.

    One that may belong to several is refused by itself. Only what neither says nor is called as if it were DICOM is
    left aside.
    """
    stated = _stated(error.dataset if isinstance(error, DamagedFile) else None)
    owners = [group for group in groups if _belongs(stated, group)]
    alike: list[Group] = []
    if not owners and not stated[SERIES]:
        alike = [group for group in groups if _is_alike(file.name, group)]
    takers = owners or (alike if len(alike) == 1 else [])
    if takers := [group for group in takers if not group.is_picture]:  # an image by itself is whole without others
        for group in takers:
            group.problems.append(error)
            group.damaged.append(file)
    elif isinstance(error, NotDicom) and not named and not alike and not _has_suffix(file.name):
        found.aside.append(LeftAside(file.name, "no image", "its content is none of the formats that are read"))
    else:
        found.groups.append(Group((str(file.name),), problems=[error], source=file))


def _stated(dataset: Dataset | None) -> dict[str, str]:
    """Readable elements of a damaged header that identify its series; empty where none can be read."""
    stated = dict.fromkeys((SERIES, *OTHERS), "")
    for word in stated if dataset is not None else ():
        try:
            stated[word] = text_of(dataset or {}, word)
        except Exception:  # pydicom raises whatever a damaged value makes it stumble over
            continue
    return stated


def _belongs(stated: Mapping[str, str], group: Group) -> bool:
    """Whether a header is that of a series' files; what it does not say is no contradiction."""
    first = group.dicom[0].values
    return stated[SERIES] != "" and all(value in ("", text_of(first, word)) for word, value in stated.items())


def _is_alike(name: Path, group: Group) -> bool:
    """Whether a file lies beside those of a series and is called as they are, numbers apart."""
    beside = [one.source.name for one in group.dicom if one.source.name.parent == name.parent]
    return bool(beside) and (_has_suffix(name) or _pattern(name) in map(_pattern, beside))


def _has_suffix(name: Path) -> bool:
    return name.suffix.lower() in SUFFIXES


def _pattern(name: Path) -> str:
    """A file's name without its numbers, hexadecimal ones too; whole where it has none."""
    return NUMBER.sub("#", name.name.lower())
