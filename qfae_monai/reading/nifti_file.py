"""NIfTI files as this package writes them: complete or absent, with nothing in them but voxels and a true grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from qfae_monai.files import whole_file
from qfae_monai.reading.nifti_grid import is_sheared, set_grid

__all__ = ["says_only_grid", "write_nifti"]

LEVEL = 2  # igzip's own default: files no larger than zlib's level 1 makes them, in a quarter of its time or less
GZIP = 31  # header and checksum of gzip; igzip writes neither a time nor a name into the header
SLAB = 32  # slices brought into the file's order at a time, where a volume lies in another one
LINES = 32  # of these slices, copied at a time, so that what is read and written stays in the processor's cache
PIECE = 1 << 18  # bytes compressed at a time
NUMBERS = {"pixdim", "xyzt_units", "scl_slope", "scl_inter", "qform_code", "sform_code", "srow_x", "srow_y", "srow_z"}
NUMBERS |= {f"{name}_{axis}" for name, axes in (("quatern", "bcd"), ("qoffset", "xyz")) for axis in axes}
"""Fields that state type, grid and scale, each in several ways; all others are compared by their bytes."""

UNITS = (0, 2, 10)  # lengths in none, read as mm, and in mm; also with times in seconds
ROUNDING = 1e-4  # of a form of the grid in float32: 0.05 mm over 500 voxels


def write_nifti(path: Path, voxels: NDArray, affine: NDArray) -> None:
    """Write an array as NIfTI, compressed where the name ends in .gz; equal arrays make equal files.

    Memory for compressed bytes or a second order of the whole volume is not taken.

    Args:
        path: of the file; its folder is made.
        voxels: (X, Y, Z), or (rows, columns) of an image; they are written in their own type.
        affine: (4, 4), voxel to RAS+ mm.

    Raises:
        HeaderDataError: of nibabel, for a type or a length of an axis that NIfTI does not have.
    """
    parts = _parts(voxels, affine)
    with whole_file(path) as partial, partial.open("wb") as stream:
        for part in _packed(parts) if path.suffix == ".gz" else parts:
            stream.write(part)


def says_only_grid(start: bytes, voxels: NDArray, affine: NDArray) -> bool:
    """Whether a file begins as `write_nifti` would begin it: no text, extension or scale, and a true grid in all forms.

    Args:
        start: its first 352 bytes.
        voxels: that were read from it.
        affine: (4, 4), voxel to RAS+ mm, as it was read.
    """
    ours = _header(voxels, affine)
    found: Any = nib.Nifti1Header(start[: ours.sizeof_hdr], check=False)
    others = [name for name in ours.keys() if name not in NUMBERS]  # noqa: SIM118 (no mapping)
    return (
        start[ours.sizeof_hdr :] == bytes(4)  # no extension
        and found.endianness == ours.endianness
        and all(found[name].tobytes() == ours[name].tobytes() for name in others)
        and found.get_slope_inter() in ((1.0, 0.0), (None, None))
        and int(found["xyzt_units"]) in UNITS
        and bool(np.isin(found["pixdim"][4:], (0, 1)).all())
        and all((int(found[code]) > 0) == (int(ours[code]) > 0) for code in ("sform_code", "qform_code"))
        and np.allclose(found.get_sform(), ours.get_sform(), atol=ROUNDING)
        and (is_sheared(affine) or np.allclose(found.get_qform(), ours.get_qform(), atol=ROUNDING))
    )


def _header(voxels: NDArray, affine: NDArray) -> nib.Nifti1Header:
    header = nib.Nifti1Header()
    header.set_data_dtype(voxels.dtype.newbyteorder("="))
    header.set_data_shape(voxels.shape)
    header.set_slope_inter(1, 0)
    header["vox_offset"] = 352  # bytes: of the header, and 4 that announce no extension
    set_grid(header, affine)
    return header


def _parts(voxels: NDArray, affine: NDArray) -> Iterator[memoryview | bytes]:
    """Bytes of the file: header, then voxels, the first axis the fastest."""
    yield _header(voxels, affine).binaryblock + bytes(4)
    for first in range(0, voxels.shape[-1], SLAB):
        slab = voxels[..., first : first + SLAB].T  # (Z, Y, X)
        if not slab.flags.c_contiguous or not slab.dtype.isnative:
            slab, other = np.empty(slab.shape, slab.dtype.newbyteorder("=")), slab
            for line in range(0, slab.shape[-1], LINES):
                slab[..., line : line + LINES] = other[..., line : line + LINES]
        data = slab.reshape(-1).view(np.uint8).data
        for at in range(0, len(data), PIECE):
            yield data[at : at + PIECE]


def _packed(parts: Iterable[memoryview | bytes]) -> Iterator[bytes]:
    packer = isal_zlib.compressobj(LEVEL, wbits=GZIP)
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()
