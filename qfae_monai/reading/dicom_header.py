"""DICOM headers: read and checked before anything is made of their pixels."""

from __future__ import annotations

from dataclasses import replace
from struct import unpack_from
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset

from qfae_monai.files.machine_memory import TooLarge
from qfae_monai.reading.dicom_elements import all_elements, regular_elements
from qfae_monai.reading.dicom_file import NATIVE, PIXEL_TAGS, DamagedFile, DicomFile, NotAnImage, NotDicom
from qfae_monai.reading.header_walk import WINDOW
from qfae_monai.reading.mosaic import MOSAIC_TAGS, is_mosaic, mosaic_of
from qfae_monai.reading.pixel_description import check_description, excess_of, refuse_without_pixels
from qfae_monai.reading.series_files import SourceFile

__all__ = ["START", "DamagedFile", "DicomFile", "NotAnImage", "NotDicom", "is_dicom", "read_header"]

# Whether a file is DICOM, by its first bytes: its name says nothing.

START = 4096  # bytes that hold the prefix and the meta information, which is never deflated
ELEMENTS = 3  # that follow one another in a data set without a prefix
FIRST_GROUPS = (2, 8, 9, 16)  # of the elements at its start
LAST_OF_FIRST = 8
LONG_KINDS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"SQ", b"UT", b"UN", b"UC", b"UR")
UNDEFINED = 0xFFFFFFFF


def is_dicom(start: bytes) -> bool:
    """Whether a file that starts so is DICOM: by its prefix, or as a data set without one.

    Args:
        start: its first 4096 bytes.
    """
    return start[128:132] == b"DICM" or any(_starts_as_elements(start, order) for order in ("<", ">"))


def _starts_as_elements(start: bytes, order: str) -> bool:
    """Whether three elements in ascending order, of the groups that come first, follow one another from the start."""
    at, last, count = 0, 0, 0
    while at + 8 <= len(start) and count < ELEMENTS:
        group, element = unpack_from(f"{order}2H", start, at)
        tag = group << 16 | element
        kind = start[at + 4 : at + 6]
        explicit = kind.isalpha() and kind.isupper()
        # a short header has other groups third; a type is what tells it from any bytes
        known = group in FIRST_GROUPS or (explicit and count > 1)
        if (tag <= last and count) or not known or (count == 0 and group > LAST_OF_FIRST):
            return False
        if explicit:
            if kind in LONG_KINDS:
                if at + 12 > len(start):
                    return False
                length, head = unpack_from(f"{order}I", start, at + 8)[0], 12
            else:
                length, head = unpack_from(f"{order}H", start, at + 6)[0], 8
        else:
            length, head = unpack_from(f"{order}I", start, at + 4)[0], 8
        if length == UNDEFINED:  # a sequence
            return count >= 1
        last, at, count = tag, at + head + length, count + 1
    return count >= ELEMENTS or (count >= 1 and at >= len(start) == START)


def read_header(source: SourceFile, *, pixels: int = 0) -> DicomFile:
    """Read and check a DICOM file's header; its content decides whether it is one, not its name.

    Args:
        source: the file.
        pixels: bytes; a scan's pixels that take no more are read, too, as long as the file is open.

    Raises:
        NotDicom: when it is no DICOM.
        NotAnImage: when it is DICOM without an image.
        DamagedFile: when the header is damaged, or contradicts itself about its pixels.
        TooLarge: when its pixels do not fit into memory.
    """
    read: list[Dataset] = []
    try:
        with source.open() as stream:
            file = _checked(source, stream, read)
            beyond = file.pixel_offset is None or source.member is not None or source.size - file.pixel_offset > pixels
            if not beyond and not file.kind:
                stream.seek(file.pixel_offset or 0)
                file.kept.append(stream.read())
            return file
    except (TooLarge, NotDicom, NotAnImage, DamagedFile):
        raise
    except Exception as error:  # pydicom raises whatever its parsing stumbles over, an archive whatever packed it
        text = f"{type(error).__name__}: {error}"
        dataset = read[0] if read else None
        raise DamagedFile(f"{source.name}: expected a DICOM header, got a damaged one ({text}).", dataset) from error


def _checked(source: SourceFile, stream: BinaryIO, read: list[Dataset]) -> DicomFile:
    """The header, once it agrees with itself and with the file's length."""
    start = stream.read(WINDOW)
    if not is_dicom(start[:START]):
        raise NotDicom(f"{source.name}: expected a DICOM, NIfTI, NRRD or MetaImage file, got none of them.")
    found = regular_elements(stream, start) or all_elements(source, stream, start[:START], read)
    mosaic = None
    if is_mosaic(found.values):
        stream.seek(0)
        tags: list[Any] = [*MOSAIC_TAGS]
        mosaic = mosaic_of(pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=tags))
    if not found.tag:
        refuse_without_pixels(source.name, found)
    float_pixels = found.tag in PIXEL_TAGS[:2]
    check_description(source.name, found, float_pixels=float_pixels)
    file = DicomFile(
        source, found.dataset, found.values, found.syntax, found.implicit, found.offset, float_pixels, mosaic
    )
    if found.offset is not None and found.head and str(found.syntax) in NATIVE:
        return replace(file, excess=excess_of(file, found.offset, found.head))
    return file
