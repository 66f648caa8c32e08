"""Copies of an object: dropped where they are the same, kept for the guard to refuse where they are not."""

from __future__ import annotations

import numpy as np

from qfae_monai.reading.dicom_file import DicomFile
from qfae_monai.reading.dicom_pixels import pixel_bytes, stored_values
from qfae_monai.reading.left_aside import LeftAside
from qfae_monai.reading.series_group import Group, text_of

__all__ = ["without_copies"]

SAME = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "PixelRepresentation",
    "RescaleSlope", "RescaleIntercept",
)  # fmt: skip
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
