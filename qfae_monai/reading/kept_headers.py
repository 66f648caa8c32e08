"""Cache of DICOM headers and pixels: each header is parsed once, most files are opened once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from qfae_monai.files.machine_memory import available_memory
from qfae_monai.reading.dicom_header import DicomFile, read_header
from qfae_monai.reading.series_files import SourceFile

__all__ = ["header_of", "kept_headers", "kept_pixels"]

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
    """As :func:`qfae_monai.reading.dicom_header.read_header`, or what was kept of it."""
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
