"""Voxels of NRRD and MetaImage files, from the bytes of the file that was checked to hold them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.voxel_files import VoxelPlace

__all__ = ["check_stored_size", "fill", "first_bytes", "inflate", "is_gzip", "stored_voxels", "whole_bytes"]

# Bytes of a file that may be compressed by gzip, inflated into one buffer and no further than asked for.

MAX_RATIO = 1040  # no deflate stream grows by more than 1032
PACKED = 1 << 18  # compressed bytes read at a time
PIECE = 1 << 20  # bytes inflated at a time: they are copied while they are still in the processor's cache
EITHER = 47  # header and checksum of gzip or of zlib, whichever is there
MAX_TAIL = 1 << 20  # bytes that may follow those that were asked for
BARE = b"\x1f\x8b\x08" + bytes(5)  # gzip's own header without flags, which announce texts, and without a time


def is_gzip(file: SourceFile) -> bool:
    """Whether a file is compressed, by its content."""
    with file.open() as stream:
        return stream.read(2) == b"\x1f\x8b"


def first_bytes(file: SourceFile, count: int) -> bytes:
    """The first `count` bytes, inflated where they are compressed; fewer where the file ends before."""
    with file.open() as stream:
        if not is_gzip(file):
            return stream.read(count)
        return b"".join(_Inflating(stream).pieces(count, to_end=False))


def whole_bytes(file: SourceFile, count: int) -> tuple[NDArray[np.uint8], bool]:
    """The first `count` bytes, inflated where they are compressed, and the archive read to its checksums.

    Args:
        file: the file.
        count: bytes that are expected; memory is taken for no more than the file can hold.

    Returns:
        `count` bytes, fewer where the file ends before; and whether it is an archive of these alone, which has no
        name, comment or time in it and nothing behind it.

    Raises:
        EOFError: when the archive is truncated.
        ValueError: when far more bytes follow.
        zlib.error: when it is damaged.
    """
    size = file.size
    packed = is_gzip(file)
    with file.open() as stream:
        if packed:
            inflating = _Inflating(stream)
            data = inflating.first(min(count, size * MAX_RATIO))
            return data, inflating.bare
        data = np.empty(min(count, size), np.uint8)
        return data[: fill(stream, data)], False


def inflate(stream: IO[bytes], count: int) -> NDArray[np.uint8]:
    """The first `count` bytes of what follows in a stream compressed by gzip or zlib, read to its checksums.

    Args:
        stream: the file, at the first compressed byte.
        count: bytes that are expected, which memory is taken for.

    Returns:
        `count` bytes; fewer where the archive ends before.

    Raises:
        EOFError: when the archive is truncated.
        ValueError: when far more bytes follow.
        zlib.error: when it is damaged.
    """
    return _Inflating(stream).first(count)


def fill(stream: IO[bytes], data: NDArray[np.uint8]) -> int:
    """Read into an array until it is full or the stream ends, as a member of an archive gives bytes piece by piece.

    Returns:
        How many bytes were read.
    """
    at = 0
    while at < len(data) and (count := stream.readinto(data.data[at:])):  # type: ignore[attr-defined]
        at += count
    return at


class _Inflating:
    """A stream that is being inflated.

    Attributes:
        bare: so far, whether there was one member alone, with no name, comment or time, and no more bytes than asked.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.bare = stream, True

    def first(self, count: int) -> NDArray[np.uint8]:
        """As `inflate`."""
        data = np.empty(count, np.uint8)
        filled = extra = 0
        for piece in self.pieces(count, to_end=True):
            if filled < count:
                data[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
                filled += len(piece)
            elif (extra := extra + len(piece)) > count + MAX_TAIL:
                raise ValueError(f"more than {count} bytes follow the {count} that the header declares")
        self.bare &= not extra
        return data[:filled]

    def pieces(self, count: int, *, to_end: bool) -> Iterator[bytes]:
        """Inflated pieces up to `count` bytes; with `to_end` those behind too, of all members, checksums tested."""
        inflater, left = isal_zlib.decompressobj(EITHER), count
        packed = self.stream.read(PACKED)
        self.bare &= packed.startswith(BARE)
        while True:
            try:  # without further bytes it gives what it held back
                piece = inflater.decompress(packed, min(left, PIECE) or PIECE)
            except isal_zlib.error as error:  # type: ignore[misc]  # a class, whatever its stub says
                raise zlib.error(str(error)) from None
            if piece:
                left = max(0, left - len(piece))
                yield piece
            if not left and not to_end:
                return
            if inflater.eof:  # another member may follow; zeros may pad it
                self.bare &= not inflater.unused_data
                packed = inflater.unused_data.lstrip(b"\0")
                while not packed and (more := self.stream.read(PACKED)):
                    self.bare = False
                    packed = more.lstrip(b"\0")
                if not packed:
                    return
                inflater = isal_zlib.decompressobj(EITHER)
                continue
            packed = inflater.unconsumed_tail or self.stream.read(PACKED)
            if not packed and not piece:
                raise EOFError("compressed file ended before its end-of-stream marker was reached")


def check_stored_size(place: VoxelPlace, dtype: np.dtype, count: int) -> None:
    """Refuse a header that declares more voxels than its file can hold, by the file's size alone.

    Args:
        place: where they lie.
        dtype: of a number.
        count: numbers that the header declares.

    Raises:
        ValueError: with both numbers of bytes.
    """
    with _opened(place) as stream:
        left = _seek(stream, place, count * dtype.itemsize)  # bytes
    most = {
        "raw": left - place.skip,
        "gzip": left * MAX_RATIO - place.skip,
        "hex": left // 2 - place.skip,  # two digits for each byte
        "text": (left + 1) // 2 * dtype.itemsize,  # a digit and what stands behind it
    }[place.encoding]
    _check_size(most, count * dtype.itemsize)


def stored_voxels(place: VoxelPlace, dtype: np.dtype, count: int) -> NDArray:
    """Numbers in the order of storage, in the machine's own byte order.

    Args:
        place: where they lie; its size has been checked.
        dtype: of a number, any byte order.
        count: numbers that the header declares.

    Returns:
        (count,).

    Raises:
        ValueError: when the file holds fewer, or the header does not say in which order their bytes are.
        zlib.error: when they are compressed and damaged.
    """
    size = count * dtype.itemsize  # bytes
    with _opened(place) as stream:
        _seek(stream, place, size)
        if place.encoding == "text":
            return _from_text(stream.read(), dtype, count)
        if place.encoding == "gzip":
            data = inflate(stream, place.skip + size)[place.skip :]
        elif place.encoding == "hex":
            data = np.frombuffer(bytearray.fromhex(stream.read().decode("ascii")), np.uint8)[place.skip :]
        else:
            stream.seek(place.skip, 1)
            data = np.empty(size, np.uint8)
            data = data[: fill(stream, data)]
    _check_size(len(data), size)
    if dtype.itemsize > 1 and not place.order:
        raise ValueError(f"endian expected in its header for numbers of {dtype.itemsize} bytes, got none")
    stored = data[:size].view(dtype.newbyteorder(place.order or "="))
    return stored.astype(dtype.newbyteorder("="), copy=False)


def _opened(place: VoxelPlace) -> IO[bytes]:
    """The file that holds them; a member of an archive is inflated first, as it cannot be read from its end."""
    if place.file.member is None:
        return place.file.open()
    with place.file.open() as stream:
        return io.BytesIO(stream.read())


def _seek(stream: IO[bytes], place: VoxelPlace, size: int) -> int:
    """Go to where voxels begin; returns how many bytes follow there."""
    whole = stream.seek(0, 2)
    stream.seek(max(0, whole - size) if place.start is None else place.start)
    for _ in range(place.lines):
        if not stream.readline(1 << 20):
            break
    return whole - stream.tell()


def _check_size(most: int, expected: int) -> None:
    if most < expected:
        raise ValueError(f"truncated, expected {expected} bytes of voxels by its header, got at most {max(0, most)}")


def _from_text(text: bytes, dtype: np.dtype, count: int) -> NDArray:
    words = text.replace(b",", b" ").split(maxsplit=count)[:count]
    if len(words) < count:
        raise ValueError(f"truncated, expected {count} numbers by its header, got {len(words)}")
    return np.array([float(word) if dtype.kind == "f" else int(word) for word in words]).astype(dtype)
