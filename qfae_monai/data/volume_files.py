"""NIfTI, NRRD and MetaImage files as arrays with an affine, their declared sizes checked before memory is taken."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from qfae_monai.data.gzip_bytes import first_bytes, whole_bytes
from qfae_monai.data.series_files import MAX_BYTES, SourceFile

__all__ = ["VolumeHeader", "read_volume", "read_volume_header"]

HEADER_BYTES = 544  # of NIfTI 2, the longer one
TEXT_BYTES = 1 << 16  # of NRRD and MetaImage, within which the number of axes stands
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from ITK's LPS
KINDS = {"nii": "NIfTI", "gz": "NIfTI", "nrrd": "NRRD", "mha": "MetaImage", "mhd": "MetaImage"}


@dataclass(frozen=True)
class VolumeHeader:
    """What a volume file says of itself.

    Args:
        kind: "NIfTI", "NRRD" or "MetaImage".
        shape: (X, Y, Z), or (X, Y, Z, T) with several time points.
        affine: (4, 4), voxel index to RAS+ mm.
        dtype: of the stored voxels.
        notes: what is unusual.
    """

    kind: str
    shape: tuple[int, ...]
    affine: np.ndarray
    dtype: np.dtype
    notes: tuple[str, ...] = ()


def read_volume_header(source: SourceFile) -> VolumeHeader:
    """Shape and affine of a volume file; voxels are not read.

    Raises:
        ValueError: when the file is damaged, or declares more voxels than it can hold.
    """
    return _guarded(source, _nifti_header if _is_nifti(source) else _itk_header)


def read_volume(source: SourceFile) -> tuple[VolumeHeader, np.ndarray]:
    """A volume file's header, and its voxels (X, Y, Z) or (X, Y, Z, T) in their own type, scaled where it says so.

    Raises:
        ValueError: when the file is damaged, truncated, or declares more voxels than it holds.
    """
    return _guarded(source, _nifti if _is_nifti(source) else _itk)


def _is_nifti(source: SourceFile) -> bool:
    return source.name.name.lower().endswith((".nii", ".nii.gz"))


def _guarded(source: SourceFile, function: Any) -> Any:
    kind = KINDS[source.name.name.lower().rsplit(".", 1)[-1]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nibabel, on header values that are checked here
            return function(source)
    except Exception as error:  # nibabel and SimpleITK raise whatever their parsing stumbles over
        text = " ".join(str(error).split())[:400]
        raise ValueError(f"{source.name}: expected a {kind} file, got a damaged one ({text}).") from error


def _nifti_header(source: SourceFile) -> VolumeHeader:
    return _parse_nifti(first_bytes(source, HEADER_BYTES))[1]


def _parse_nifti(start: bytes) -> tuple[Any, VolumeHeader, int]:
    """Image class's header, ours, and the size in bytes that it declares for the whole file."""
    size = int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")
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
    declared = offset
    count = 1
    for length in shape:  # python's integers do not overflow
        count *= length
    declared += count * dtype.itemsize
    if offset < found[1] - 4 or declared > MAX_BYTES:
        raise ValueError(f"at most {MAX_BYTES} bytes expected, got a header that declares {declared}")
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError(f"an invertible affine expected, got {affine.tolist()}")
    notes = []
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        notes.append("no orientation code: axes taken as RAS+")
    elif int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0:
        other = header.get_qform()
        if np.abs(other - affine).max() > 0.01:
            notes.append("sform and qform differ; the sform is used")
    return header, VolumeHeader("NIfTI", _three(shape), affine, dtype, tuple(notes)), declared


def _three(shape: tuple[int, ...]) -> tuple[int, ...]:
    """At least three axes, and no trailing one of length 1 behind them."""
    shape = (*shape, 1, 1)[: max(3, len(shape))]
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _nifti(source: SourceFile) -> tuple[VolumeHeader, np.ndarray]:
    nifti, header, declared = _parse_nifti(first_bytes(source, HEADER_BYTES))
    data = whole_bytes(source, declared)
    if len(data) < declared:
        raise ValueError(f"truncated, {declared} bytes expected by its header, got {len(data)}")
    offset = int(nifti.get_data_offset())
    flat = np.frombuffer(data, dtype=header.dtype, offset=offset, count=(declared - offset) // header.dtype.itemsize)
    values = flat.reshape(header.shape, order="F")
    if values.dtype.names:
        values = _luminance(source, np.stack([values[name] for name in values.dtype.names[:3]], axis=-1))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"real numbers expected, got {values.dtype}")
    slope, intercept = nifti.get_slope_inter()
    if slope is not None and (slope, intercept or 0.0) != (1.0, 0.0):
        real: Any = np.float64 if values.dtype.itemsize > 4 else np.float32
        values = np.asarray(values, dtype=real) * real(slope) + real(intercept or 0.0)
    return header, values


def _luminance(source: SourceFile, values: np.ndarray) -> np.ndarray:
    warnings.warn(f"{source.name}: colour reduced to luminance.", stacklevel=2)
    weighted: Any = values @ np.array(LUMINANCE)
    return np.rint(weighted).astype(values.dtype)


def _check_text(source: SourceFile) -> None:
    """Refuse text headers that ITK dies of: too many axes, and voxels in a pattern of files."""
    with source.open() as stream:
        text = stream.read(TEXT_BYTES)
    if source.name.suffix.lower() == ".nrrd":
        text, axes, other = re.split(rb"\r?\n\r?\n", text, maxsplit=1)[0], "dimension", rb"^data ?file:[ \t]*(.*)"
    else:
        text = re.sub(rb"(ElementDataFile[^\n]*).*", rb"\1", text, count=1, flags=re.DOTALL)
        axes, other = "NDims", rb"^\s*ElementDataFile\s*[=:][ \t]*(.*)"
    found = re.findall(rb"^\s*" + axes.encode() + rb"\s*[=:]\s*(\S*)", text, re.MULTILINE | re.IGNORECASE)
    if len(found) != 1 or found[0] not in (b"2", b"3", b"4"):
        got = ", ".join(value.decode("latin1") for value in found) or "none"
        raise ValueError(f"{axes} 2 to 4 expected once in its header, got {got}")
    for value in re.findall(other, text, re.MULTILINE | re.IGNORECASE):
        name = value.decode("utf-8", "replace").strip()
        if name.upper() != "LOCAL" and (
            source.member or "%" in name or "\0" in name or not (source.path.parent / name).is_file()
        ):
            raise ValueError(f"its voxels or one file with them expected, got {name[:80]!r}")


def _itk_reader(source: SourceFile, path: Path) -> sitk.ImageFileReader:
    _check_text(source)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if source.name.suffix.lower() == ".nrrd" else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _itk_header(source: SourceFile) -> VolumeHeader:
    with source.on_disk() as path:
        return _describe_itk(source, _itk_reader(source, path))


def _describe_itk(source: SourceFile, reader: sitk.ImageFileReader) -> VolumeHeader:
    size = tuple(int(length) for length in reader.GetSize())
    if not 2 <= len(size) <= 4 or reader.GetNumberOfComponents() not in (1, 3, 4):
        raise ValueError(f"2 to 4 axes of numbers or colours expected, got {size} x {reader.GetNumberOfComponents()}")
    pixel = sitk.Image([1] * len(size), reader.GetPixelID(), reader.GetNumberOfComponents())
    dtype = sitk.GetArrayViewFromImage(pixel).dtype
    count = int(reader.GetNumberOfComponents()) * dtype.itemsize
    for length in size:
        count *= length
    _check_declared(source, count)
    axes = min(len(size), 3)
    affine = np.eye(4)
    directions = np.array(reader.GetDirection()).reshape(len(size), len(size))[:axes, :axes]
    affine[:axes, :axes] = directions * np.array(reader.GetSpacing())[:axes]
    affine[:axes, 3] = np.array(reader.GetOrigin())[:axes]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError(f"an invertible affine expected, got {affine.tolist()}")
    kind = KINDS[source.name.name.lower().rsplit(".", 1)[-1]]
    return VolumeHeader(kind, _three(size), TO_RAS @ affine, dtype)


def _check_declared(source: SourceFile, declared: int) -> None:
    """Refuse a header that declares more than its file, and a file that it names beside it, can hold."""
    with source.open() as stream:
        text = stream.read(4096).decode("latin1").lower()
    size = source.size
    if source.member is None and (source.name.suffix.lower() == ".mhd" or "data file:" in text or "datafile:" in text):
        size = sum(entry.stat().st_size for entry in source.path.parent.iterdir() if entry.is_file())
    packed = "encoding: gz" in text or "encoding: bz" in text or "compresseddata = true" in text
    limit = min(MAX_BYTES, size * 1100 if packed else size * (2 if "encoding: hex" in text else 1))
    if declared > limit:
        raise ValueError(f"{declared} bytes of voxels declared, its file of {size} bytes cannot hold them")


def _itk(source: SourceFile) -> tuple[VolumeHeader, np.ndarray]:
    with source.on_disk() as path:
        reader = _itk_reader(source, path)
        header = _describe_itk(source, reader)
        image = reader.Execute()
    values = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        values = _luminance(source, values[..., :3])
    if values.dtype.kind not in "biuf":
        raise ValueError(f"real numbers expected, got {values.dtype}")
    return header, np.ascontiguousarray(values.T).reshape(header.shape)
