"""NIfTI, NRRD and MetaImage files as arrays with an affine, their declared sizes checked before memory is taken."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeVar

import numpy as np

from qfae_monai.files.machine_memory import TooLarge, check_memory
from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.voxel_bytes import check_stored_size, first_bytes, stored_voxels, whole_bytes
from qfae_monai.reading.voxel_files import VoxelPlace, voxel_place

__all__ = ["VolumeHeader", "read_volume", "read_volume_header"]

Result = TypeVar("Result")

HEADER_BYTES = 544  # of NIfTI 2, the longer one
PLAIN_OFFSET = 352  # bytes in front of the voxels of a NIfTI 1 file without extensions
FLOAT_BYTES = 4  # of a voxel in the float32 copy that follows the reading: both are there at one time
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
MILLIMETRES = {1: ("metre", 1000.0), 3: ("micrometre", 0.001)}  # NIfTI's codes of other units
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from ITK's LPS
KINDS = {"nii": "NIfTI", "gz": "NIfTI", "nrrd": "NRRD", "mha": "MetaImage", "mhd": "MetaImage"}


@dataclass(frozen=True)
class VolumeHeader:
    """Header of a volume file.

    Attributes:
        kind: "NIfTI", "NRRD" or "MetaImage".
        shape: (X, Y, Z), or (X, Y, Z, T) with several time points.
        affine: (4, 4), voxel index to RAS+ mm.
        dtype: of the stored voxels.
        notes: what is unusual.
        bare: whether the file holds nothing but these voxels and their grid, compressed, as `write_nifti` leaves it.
    """

    kind: str
    shape: tuple[int, ...]
    affine: np.ndarray
    dtype: np.dtype
    notes: tuple[str, ...] = ()
    bare: bool = False


def read_volume_header(source: SourceFile) -> VolumeHeader:
    """Shape and affine of a volume file; voxels are not read.

    Raises:
        ValueError: when the file is damaged, names voxels outside of its folder, or declares more than it, or the
            machine, can hold.
    """
    if _is_nifti(source):
        return _guarded(source, lambda: _parse_nifti(source)[1])
    place = voxel_place(source)
    return _guarded(source, lambda: _describe_itk(source, place)[0])


def read_volume(source: SourceFile) -> tuple[VolumeHeader, np.ndarray]:
    """A volume file's header, and its voxels (X, Y, Z) or (X, Y, Z, T) in their own type, scaled where it says so.

    Raises:
        ValueError: as `read_volume_header`, or when the file is truncated.
    """
    if _is_nifti(source):
        return _guarded(source, lambda: _nifti(source))
    place = voxel_place(source)
    return _guarded(source, lambda: _itk(source, place))


def _is_nifti(source: SourceFile) -> bool:
    return source.name.name.lower().endswith((".nii", ".nii.gz"))


def _kind(source: SourceFile) -> str:
    return KINDS[source.name.name.lower().rsplit(".", 1)[-1]]


def _guarded(source: SourceFile, function: Callable[[], Result]) -> Result:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nibabel, on header values that are checked here
            return function()
    except TooLarge:
        raise
    except Exception as error:  # nibabel and SimpleITK raise whatever their parsing stumbles over
        text = " ".join(str(error).split())[:400]
        raise ValueError(f"{source.name}: expected a {_kind(source)} file, got a damaged one ({text})") from error


def _parse_nifti(source: SourceFile) -> tuple[Any, VolumeHeader, int]:
    """Image class's header, ours, and the size in bytes that it declares for the whole file."""
    import nibabel as nib  # noqa: PLC0415 (slow to import, and of no use to DICOM)

    start = first_bytes(source, HEADER_BYTES)
    # bytes of header, in either byte order
    size = int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")
    # header class, and bytes in front of the first voxel
    classes = {348: (nib.Nifti1Header, 352), 540: (nib.Nifti2Header, 544)}
    found = next((classes[value] for value in size if value in classes), None)
    if found is None:
        raise ValueError(f"header size 348 or 540 expected, got {size[0]}")
    header: Any = found[0](start[: size[0] if size[0] in classes else size[1]], check=True)
    magic = bytes(header["magic"].item())
    if not magic.startswith((b"n+1", b"n+2")):
        raise ValueError(f"one file with header and voxels expected, got magic {magic!r}")
    shape = tuple(int(length) for length in header.get_data_shape())
    dtype = header.get_data_dtype()
    offset = int(header.get_data_offset())
    if not shape or min(shape) < 1 or len(shape) > 7:
        raise ValueError(f"voxels expected in each axis, got shape {shape}")
    count = prod(shape)
    declared = offset + count * dtype.itemsize  # bytes
    if offset < found[1] - 4:  # some writers leave out the 4 bytes that announce extensions
        raise ValueError(f"voxels expected behind {found[1]} bytes of header, got an offset of {offset}")
    _check_fits(source, shape, dtype, declared)
    # the lowest three bits are the unit of lengths
    unit, factor = MILLIMETRES.get(int(header["xyzt_units"]) & 7, ("", 1.0))
    to_mm = np.diag([factor, factor, factor, 1.0])
    affine = to_mm @ np.asarray(header.get_best_affine(), dtype=np.float64)  # voxel to mm
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError(f"an invertible affine expected, got {affine.tolist()}")
    notes = [f"lengths are stored in {unit}"] if unit else []
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        notes.append("no orientation code: axes taken as LAS+")
    elif int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0:
        other = to_mm @ header.get_qform()  # voxel to mm
        if np.abs(other - affine).max() > 0.01:  # mm
            notes.append("sform and qform differ; the sform is used")
    return header, VolumeHeader("NIfTI", _three(shape), affine, dtype, tuple(notes)), declared


def _three(shape: tuple[int, ...]) -> tuple[int, ...]:
    """At least three axes, and no trailing one of length 1 behind them."""
    shape = (*shape, 1, 1)[: max(3, len(shape))]
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _nifti(source: SourceFile) -> tuple[VolumeHeader, np.ndarray]:
    from qfae_monai.reading.nifti_file import says_only_grid  # noqa: PLC0415 (nibabel, as above)

    nifti, header, declared = _parse_nifti(source)
    data, alone = whole_bytes(source, declared)
    if len(data) < declared:
        raise ValueError(f"truncated, {declared} bytes expected by its header, got {len(data)}")
    offset = int(nifti.get_data_offset())
    # (voxels,)
    flat = np.frombuffer(data, dtype=header.dtype, offset=offset, count=(declared - offset) // header.dtype.itemsize)
    values = flat.reshape(header.shape, order="F")  # (X, Y, Z) or (X, Y, Z, T): x is the fastest in the file
    if values.dtype.names:
        values = _luminance(source, np.stack([values[name] for name in values.dtype.names[:3]], axis=-1))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"real numbers expected, got {values.dtype}")
    slope, intercept = nifti.get_slope_inter()
    if slope is not None and (slope, intercept or 0.0) != (1.0, 0.0):
        real: Any = np.float64 if values.dtype.itemsize > 4 else np.float32
        values = np.asarray(values, dtype=real) * real(slope) + real(intercept or 0.0)
    if alone and source.member is None and offset == PLAIN_OFFSET:
        header = replace(header, bare=says_only_grid(data[:offset].tobytes(), values, header.affine))
    return header, values


def _luminance(source: SourceFile, values: np.ndarray) -> np.ndarray:
    warnings.warn(f"{source.name}: colour reduced to luminance.", stacklevel=2)
    weighted: Any = values @ np.array(LUMINANCE)
    return np.rint(weighted).astype(values.dtype)


def _check_fits(source: SourceFile, shape: Sequence[int], dtype: np.dtype, declared: int) -> None:
    """Refuse voxels that do not fit into memory with their float32 copy."""
    what = f"a header that declares {declared} bytes, {' x '.join(map(str, shape))} voxels"
    check_memory(source.name, declared * (dtype.itemsize + FLOAT_BYTES) // dtype.itemsize, what)


def _describe_itk(source: SourceFile, place: VoxelPlace) -> tuple[VolumeHeader, tuple[int, ...], int]:
    """Header, axes as stored, and numbers in a voxel.

    ITK parses the header for the geometry. It is never asked for voxels, so nothing that it opens comes out.
    """
    import SimpleITK as sitk  # noqa: PLC0415 (slow to import, and of no use to DICOM)

    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if source.name.suffix.lower() == ".nrrd" else "MetaImageIO")
    with source.on_disk() as path:
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    # x first, as ITK counts axes
    size, colours = tuple(int(length) for length in reader.GetSize()), int(reader.GetNumberOfComponents())
    if not 2 <= len(size) <= 4 or colours not in (1, 3, 4):
        raise ValueError(f"2 to 4 axes of numbers or colours expected, got {size} x {colours}")
    pixel = sitk.Image([1] * len(size), reader.GetPixelID(), colours)
    dtype = sitk.GetArrayViewFromImage(pixel).dtype
    if dtype.kind not in "biuf":
        raise ValueError(f"real numbers expected, got {dtype}")
    count = prod(size) * colours
    check_stored_size(place, dtype, count)
    _check_fits(source, size, dtype, count * dtype.itemsize)
    axes = min(len(size), 3)  # a fourth one is time
    affine = np.eye(4)
    directions = np.array(reader.GetDirection()).reshape(len(size), len(size))[:axes, :axes]
    affine[:axes, :axes] = directions * np.array(reader.GetSpacing())[:axes]  # mm, LPS
    affine[:axes, 3] = np.array(reader.GetOrigin())[:axes]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError(f"an invertible affine expected, got {affine.tolist()}")
    return VolumeHeader(_kind(source), _three(size), TO_RAS @ affine, dtype), size, colours


def _itk(source: SourceFile, place: VoxelPlace) -> tuple[VolumeHeader, np.ndarray]:
    header, size, colours = _describe_itk(source, place)
    values = stored_voxels(place, header.dtype, prod(size) * colours)
    if colours > 1:
        values = values.reshape((*size, colours) if place.colours_last else (colours, *size), order="F")
        values = _luminance(source, np.moveaxis(values, -1 if place.colours_last else 0, -1)[..., :3])
    return header, values.reshape(header.shape, order="F")
