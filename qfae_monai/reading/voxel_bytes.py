"""Voxels of NRRD and MetaImage files, from the bytes of the file that was checked to hold them."""

from __future__ import annotations

import io
from typing import IO

import numpy as np
from numpy.typing import NDArray

from qfae_monai.reading.gzip_bytes import MAX_RATIO, fill, inflate
from qfae_monai.reading.voxel_files import VoxelPlace

__all__ = ["check_stored_size", "stored_voxels"]


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
        left = _seek(stream, place, count * dtype.itemsize)
    most = {
        "raw": left - place.skip,
        "gzip": left * MAX_RATIO - place.skip,
        "hex": left // 2 - place.skip,
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
    size = count * dtype.itemsize
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
