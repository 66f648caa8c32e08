"""DICOM headers: read and checked before anything is made of their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from struct import unpack_from
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset

from qfae_monai.files.machine_memory import TooLarge, available_memory
from qfae_monai.reading.dicom_elements import all_elements, regular_elements
from qfae_monai.reading.dicom_file import NATIVE, PIXEL_TAGS, DamagedFile, DicomFile, NotAnImage, NotDicom
from qfae_monai.reading.header_walk import WINDOW
from qfae_monai.reading.mosaic import MOSAIC_TAGS, is_mosaic, mosaic_of
from qfae_monai.reading.pixel_description import check_description, excess_of, refuse_without_pixels
from qfae_monai.reading.series_files import SourceFile

__all__ = [
    "START",
    "DamagedFile",
    "DicomFile",
    "NotAnImage",
    "NotDicom",
    "header_of",
    "is_dicom",
    "kept_headers",
    "kept_pixels",
    "read_header",
]

# DICOM told from other files by its first bytes: a name says nothing.

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
        raise DamagedFile(f"{source.name}: expected a DICOM header, got a damaged one ({text})", dataset) from error


def _checked(source: SourceFile, stream: BinaryIO, read: list[Dataset]) -> DicomFile:
    """The header, once it agrees with itself and with the file's length."""
    start = stream.read(WINDOW)
    if not is_dicom(start[:START]):
        raise NotDicom(f"{source.name}: expected a DICOM, NIfTI, NRRD or MetaImage file, got none of them")
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


# Cache of DICOM headers and pixels: each header is parsed once, most files are opened once.

MAX_KEPT = 20_000  # headers, of about 20 kB
MAX_PIXEL_BYTES = 256 << 20  # of all pixels that are read with their headers
MEMORY_SHARE = 8  # at most this part of what is free, as a divisor
KEPT: ContextVar[dict[tuple[Any, ...], DicomFile] | None] = ContextVar("kept_headers", default=None)


@dataclass
class _Room:
    """Bytes of pixels that may still be read with their headers."""

    left: int


ROOM: ContextVar[_Room | None] = ContextVar("kept_pixels", default=None)


@contextmanager
def kept_headers() -> Iterator[None]:
    """Within it, headers that were read to find series are not parsed again to read them; each is kept for one use.

    A file whose size or time of change differs is parsed again. For this process and thread: others parse their own.
    """
    token = KEPT.set({})
    try:
        yield
    finally:
        KEPT.reset(token)


@contextmanager
def kept_pixels() -> Iterator[None]:
    """Within it, pixels are read with their header, and wait to be decoded: their file is not opened again.

    That is 256 MB of them, or an eighth of the memory that is free; files beyond are opened a second time. A block
    within another one shares its room.
    """
    free = available_memory()
    room = _Room(MAX_PIXEL_BYTES if free is None else min(MAX_PIXEL_BYTES, free // MEMORY_SHARE))
    token = ROOM.set(ROOM.get() or room)
    try:
        yield
    finally:
        ROOM.reset(token)


def header_of(source: SourceFile) -> DicomFile:
    """As `qfae_monai.reading.dicom_header.read_header`, or what was kept of it."""
    kept = KEPT.get()
    if kept is None:
        return _read(source)
    stat = source.path.stat()
    key = (source.name, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    file = kept.pop(key, None)
    if file is None:
        file = _read(source)
        if len(kept) < MAX_KEPT:
            kept[key] = file
    return file if source.member is None else replace(file, source=source)  # a member is read from an open archive


def _read(source: SourceFile) -> DicomFile:
    room = ROOM.get()
    if room is None:
        return read_header(source)
    file = read_header(source, pixels=room.left)
    room.left -= sum(map(len, file.kept))
    return file
