"""Bytes of a file that may be compressed by gzip, inflated into one buffer and no further than asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from qfae_monai.reading.series_files import SourceFile

__all__ = ["fill", "first_bytes", "inflate", "is_gzip", "whole_bytes"]

MAX_RATIO = 1040  # no deflate stream grows by more than 1032
PACKED = 1 << 18  # compressed bytes read at a time
PIECE = 1 << 20  # bytes inflated at a time: they are copied while they are still in the processor's cache
EITHER = 47  # header and checksum of gzip or of zlib, whichever is there
MAX_TAIL = 1 << 20  # bytes that may follow those that were asked for


def is_gzip(file: SourceFile) -> bool:
    """Whether a file is compressed, by its content."""
    with file.open() as stream:
        return stream.read(2) == b"\x1f\x8b"


def first_bytes(file: SourceFile, count: int) -> bytes:
    """The first ``count`` bytes, inflated where they are compressed; fewer where the file ends before."""
    with file.open() as stream:
        if not is_gzip(file):
            return stream.read(count)
        return b"".join(_pieces(stream, count, to_end=False))


def whole_bytes(file: SourceFile, count: int) -> NDArray[np.uint8]:
    """The first ``count`` bytes, inflated where they are compressed, and the archive read to its checksums.

    Args:
        file: the file.
        count: bytes that are expected; memory is taken for no more than the file can hold.

    Returns:
        ``count`` bytes; fewer where the file ends before.

    Raises:
        EOFError: when the archive is truncated.
        ValueError: when far more bytes follow.
        zlib.error: when it is damaged.
    """
    size = file.size
    packed = is_gzip(file)
    with file.open() as stream:
        if packed:
            return inflate(stream, min(count, size * MAX_RATIO))
        data = np.empty(min(count, size), np.uint8)
        return data[: fill(stream, data)]


def inflate(stream: IO[bytes], count: int) -> NDArray[np.uint8]:
    """The first ``count`` bytes of what follows in a stream compressed by gzip or zlib, read to its checksums.

    Args:
        stream: the file, at the first compressed byte.
        count: bytes that are expected, which memory is taken for.

    Returns:
        ``count`` bytes; fewer where the archive ends before.

    Raises:
        EOFError: when the archive is truncated.
        ValueError: when far more bytes follow.
        zlib.error: when it is damaged.
    """
    data = np.empty(count, np.uint8)
    filled = extra = 0
    for piece in _pieces(stream, count, to_end=True):
        if filled < count:
            data[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
        elif (extra := extra + len(piece)) > count + MAX_TAIL:
            raise ValueError(f"more than {count} bytes follow the {count} that the header declares")
    return data[:filled]


def fill(stream: IO[bytes], data: NDArray[np.uint8]) -> int:
    """Read into an array until it is full or the stream ends, as a member of an archive gives bytes piece by piece.

    Returns:
        How many bytes were read.
    """
    at = 0
    while at < len(data) and (count := stream.readinto(data.data[at:])):  # type: ignore[attr-defined]
        at += count
    return at


def _pieces(stream: IO[bytes], count: int, *, to_end: bool) -> Iterator[bytes]:
    """Inflated pieces up to ``count`` bytes; with ``to_end`` those behind too, of all members, checksums tested."""
    inflater = zlib.decompressobj(EITHER)
    left, packed = count, b""
    while True:
        packed = packed or stream.read(PACKED)
        if not packed:
            raise EOFError("compressed file ended before its end-of-stream marker was reached")
        piece = inflater.decompress(packed, min(left, PIECE) or PIECE)
        packed = inflater.unconsumed_tail
        if piece:
            left = max(0, left - len(piece))
            yield piece
        if not left and not to_end:
            return
        if inflater.eof:  # another member may follow; zeros may pad it
            packed = inflater.unused_data.lstrip(b"\0")
            while not packed and (more := stream.read(PACKED)):
                packed = more.lstrip(b"\0")
            if not packed:
                return
            inflater = zlib.decompressobj(EITHER)
