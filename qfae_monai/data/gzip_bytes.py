"""Bytes of a file that may be compressed by gzip, inflated into one buffer and no further than asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from qfae_monai.data.series_files import SourceFile

__all__ = ["first_bytes", "is_gzip", "whole_bytes"]

PACKED = 1 << 18  # compressed bytes read at a time
PIECE = 1 << 20  # bytes inflated at a time: they are copied while they are still in the processor's cache
MAX_RATIO = 1040  # no deflate stream grows by more than 1032
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
    data = np.empty(min(count, size * MAX_RATIO if packed else size), np.uint8)
    with file.open() as stream:
        if not packed:
            return data[: _filled(stream, data)]
        filled = extra = 0
        for piece in _pieces(stream, count, to_end=True):
            if filled < count:
                data[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
                filled += len(piece)
            elif (extra := extra + len(piece)) > count + MAX_TAIL:
                raise ValueError(f"more than {count} bytes follow the {count} that the header declares")
    return data[:filled]


def _filled(stream: IO[bytes], data: NDArray[np.uint8]) -> int:
    """Bytes that were read into an array; a member of an archive gives them piece by piece."""
    at = 0
    while at < len(data) and (count := stream.readinto(data.data[at:])):  # type: ignore[attr-defined]
        at += count
    return at


def _pieces(stream: IO[bytes], count: int, *, to_end: bool) -> Iterator[bytes]:
    """Inflated pieces up to ``count`` bytes; with ``to_end`` those behind too, of all members, checksums tested."""
    inflater = zlib.decompressobj(31)  # with gzip's header and checksum
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
            inflater = zlib.decompressobj(31)
