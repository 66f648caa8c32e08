"""DICOM headers kept from finding series to reading them, so that each is parsed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from qfae_monai.data.dicom_header import DicomFile, read_header
from qfae_monai.data.series_files import SourceFile

__all__ = ["header_of", "kept_headers"]

MAX_KEPT = 20_000  # headers, of about 20 kB
KEPT: ContextVar[dict[tuple[Any, ...], DicomFile] | None] = ContextVar("kept_headers", default=None)


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


def header_of(source: SourceFile) -> DicomFile:
    """As :func:`qfae_monai.data.dicom_header.read_header`, or what was kept of it."""
    kept = KEPT.get()
    if kept is None:
        return read_header(source)
    stat = source.path.stat()
    key = (source.name, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    file = kept.pop(key, None)
    if file is None:
        file = read_header(source)
        if len(kept) < MAX_KEPT:
            kept[key] = file
    return replace(file, source=source)
