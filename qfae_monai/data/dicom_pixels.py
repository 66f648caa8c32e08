"""DICOM pixels: the stored numbers of a file's frames, decoded by numpy, GDCM (SimpleITK) or pydicom's plug-ins."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, generate_uid

from qfae_monai.data.codestream import frame_size
from qfae_monai.data.dicom_file import BIG_ENDIAN, NATIVE, PIXEL_TAGS, DicomFile, syntax_name
from qfae_monai.data.pixel_description import check_native_length, native_size
from qfae_monai.data.scratch_file import scratch_file

__all__ = ["PIXELS", "pixel_bytes", "stored_values"]

PYDICOM = int(pydicom.__version__.split(".")[0])
PIXELS: Any = import_module("pydicom.pixels" if PYDICOM >= 3 else "pydicom.pixel_data_handlers.util")

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RLE = "1.2.840.10008.1.2.5"
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as in DICOM's own YBR_FULL
FREE_BYTES = 64 << 20  # compressed pixels up to this size are decoded whatever their ratio
UNDEFINED = 0xFFFFFFFF
MAX_RATIO = 2000  # pixels over compressed bytes, above FREE_BYTES


def stored_values(file: DicomFile) -> np.ndarray:
    """Decode a file's pixels; colour becomes luminance, with a warning.

    Args:
        file: a checked header.

    Returns:
        (frames, rows, columns): stored values, sign-extended from the bits that hold them; before any rescaling.

    Raises:
        ValueError: when there are fewer bytes than the header declares, the codec's own size differs from the header's,
            or no decoder can read the transfer syntax; the message names it.
    """
    try:
        element = pixel_bytes(file)
    except Exception as error:  # pydicom raises whatever its parsing stumbles over
        raise ValueError(
            f"{file.source.name}: expected pixel data, got damaged ones ({type(error).__name__}: {error})."
        ) from error
    header = file.values
    values = _native(file, element) if str(file.syntax) in NATIVE else _compressed(file, element)
    if str(header.get("PhotometricInterpretation")) == "PALETTE COLOR":
        values = _palette(file, values)
    if values.ndim == 4:
        values = _luminance(file, values)
    expected = (file.frame_count, header["Rows"], header["Columns"])
    if values.shape != expected:
        raise ValueError(
            f"{file.source.name}: expected (frames, rows, columns) {expected} by the header, "
            f"got {values.shape} from the decoder of {syntax_name(file.syntax)}."
        )
    return values


def pixel_bytes(file: DicomFile) -> bytes:
    """The value of the pixel element as it lies in the file."""
    if file.pixel_offset is None:
        with file.source.open() as stream:
            dataset = pydicom.dcmread(stream, force=True)
        return bytes(next(dataset[tag].value for tag in PIXEL_TAGS if tag in dataset))
    if file.kept:
        return _element_value(file, BytesIO(file.kept.pop()))
    with file.source.open() as stream:
        stream.seek(file.pixel_offset)
        return _element_value(file, stream)


def _element_value(file: DicomFile, stream: BinaryIO) -> bytes:
    """The value of the pixel element that a stream stands at."""
    little = str(file.syntax) != BIG_ENDIAN
    start = stream.tell()
    head = stream.read(file.element_head)
    length = int.from_bytes(head[-4:], "little" if little else "big")
    if length != UNDEFINED:
        data = stream.read(min(length, file.source.size))
        if len(data) < length:
            raise EOFError(f"truncated, expected {length} bytes of pixels, got {len(data)}")
        if not little and head[4:6] == b"OW" and file.values["BitsAllocated"] <= 8:
            data = np.frombuffer(data, ">u2").astype("<u2").tobytes()  # two pixels in each big endian word
        return data
    stream.seek(start)
    elements = pydicom.filereader.data_element_generator(stream, file.element_head == 8, little)
    return bytes(next(iter(elements)).value or b"")


def _native(file: DicomFile, data: bytes) -> np.ndarray:
    header = file.values
    frames, rows, columns = file.frame_count, header["Rows"], header["Columns"]
    samples, bits = header["SamplesPerPixel"], header["BitsAllocated"]
    check_native_length(file, len(data))
    count = native_size(header)[0]
    if bits == 1:
        unpacked = np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")
        return unpacked.reshape(frames, rows, columns)
    kind = "f" if file.float_pixels else "i" if header["PixelRepresentation"] else "u"
    order = ">" if str(file.syntax) == BIG_ENDIAN else "<"
    flat = np.frombuffer(data, np.dtype(f"{order}{kind}{bits // 8}"), count=count)
    values = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    if (
        samples == 3 and str(header.get("PhotometricInterpretation")) == "YBR_FULL_422"
    ):  # Y1 Y2 Cb Cr: the luminance is there as it is
        return values.reshape(frames, rows, columns // 2, 4)[..., :2].reshape(frames, rows, columns, 1)
    if samples > 1:
        if header.get("PlanarConfiguration"):
            return values.reshape(frames, samples, rows, columns).transpose(0, 2, 3, 1)
        return values.reshape(frames, rows, columns, samples)
    values = values.reshape(frames, rows, columns)
    return values if file.float_pixels else _used_bits(values, header)


def _used_bits(values: np.ndarray, header: Mapping[str, Any]) -> np.ndarray:
    """Only the bits that hold the value: old files keep overlays in the others."""
    allocated, stored = header["BitsAllocated"], header["BitsStored"]
    if stored == allocated:
        return values
    high = header.get("HighBit")
    high = stored - 1 if high is None or high == "" else int(high)
    if not stored - 1 <= high < allocated:
        raise ValueError(f"expected HighBit {stored - 1} to {allocated - 1}, got {high}")
    # up to the top, where the sign is, and back down with it
    return np.right_shift(np.left_shift(values, allocated - 1 - high), allocated - stored)


def _compressed(file: DicomFile, data: bytes) -> np.ndarray:
    """Try GDCM, then pydicom; RLE the other way round, as pydicom checks its lengths."""
    header = file.values
    declared = header["Rows"] * header["Columns"] * file.frame_count * header["SamplesPerPixel"]
    declared *= max(1, header["BitsAllocated"] // 8)
    if declared > max(FREE_BYTES, MAX_RATIO * len(data)):
        raise ValueError(f"{file.source.name}: expected {declared} bytes of pixels, got {len(data)} compressed ones.")
    problems = []
    decoders = [_by_pydicom, _by_gdcm] if str(file.syntax) == RLE else [_by_gdcm, _by_pydicom]
    try:
        _check_frames(file, data)
    except Exception as error:
        raise ValueError(f"{file.source.name}: damaged {syntax_name(file.syntax)} pixels ({error}).") from error
    for decoder in decoders:
        try:
            return decoder(file, data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # every decoder has errors of its own; those of Rust are no Exception
            problems.append(f"{decoder.__name__[4:]}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    raise ValueError(
        f"{file.source.name}: expected pixels that GDCM or pydicom's plug-ins decode, got transfer syntax "
        f"{syntax_name(file.syntax)} ({'; '.join(problems)})."
    )


def _check_frames(file: DicomFile, data: bytes) -> None:
    """Compare the size in the codec's own header with DICOM's, frame by frame where frames are told apart."""
    header = file.values
    fragments = list(_fragments(data))
    if len(fragments) < file.frame_count:
        raise ValueError(f"expected at least {file.frame_count} fragments, got {len(fragments)}")
    frames = fragments if len(fragments) == file.frame_count else fragments[:1]
    expected = (header["Rows"], header["Columns"], header["SamplesPerPixel"])
    for number, frame in enumerate(frames, start=1):
        size = frame_size(frame)
        if size is not None and size != expected:
            raise ValueError(f"expected rows, columns and samples {expected}, got {size} in frame {number}")


def _fragments(data: bytes) -> list[bytes]:
    """Items behind the offset table."""
    items, at = [], 0
    while at + 8 <= len(data):
        tag, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if tag == b"\xfe\xff\xdd\xe0":
            break
        if tag != b"\xfe\xff\x00\xe0":
            raise ValueError(f"expected a fragment at byte {at}, got tag {tag.hex()}")
        if at + 8 + length > len(data):
            raise ValueError(f"truncated, expected a fragment of {length} bytes, got {len(data) - at - 8}")
        items.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return items[1:]


def _bare(file: DicomFile, data: bytes) -> pydicom.FileDataset:
    """A data set of nothing but checked pixel attributes: what decoders get to see."""
    multi = file.frame_count > 1
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(str(file.syntax))
    meta.MediaStorageSOPClassUID = UID(f"{SECONDARY_CAPTURE}.4" if multi else SECONDARY_CAPTURE)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    bare = pydicom.FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    if PYDICOM < 3:
        bare.is_little_endian, bare.is_implicit_VR = True, False
    bare.SOPClassUID, bare.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation"):
        setattr(bare, keyword, file.values[keyword])
    bare.HighBit = bare.BitsStored - 1
    photometric = str(file.values.get("PhotometricInterpretation") or "MONOCHROME2")
    bare.PhotometricInterpretation = photometric if bare.SamplesPerPixel == 3 else "MONOCHROME2"
    if bare.SamplesPerPixel == 3:
        bare.PlanarConfiguration = int(file.values.get("PlanarConfiguration") or 0)
    if multi:
        bare.NumberOfFrames = file.frame_count
    bare.PixelData = data
    bare["PixelData"].VR = "OB"
    bare["PixelData"].is_undefined_length = True
    return bare


def _by_gdcm(file: DicomFile, data: bytes) -> np.ndarray:
    import SimpleITK as sitk  # noqa: PLC0415 (its import takes as long as reading fifty headers)

    with scratch_file() as (stream, path):
        _bare(file, data).save_as(stream)
        stream.flush()
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        expected = (file.values["Columns"], file.values["Rows"], file.frame_count)
        size = (*reader.GetSize(), 1)[:3]
        if size != expected:
            raise ValueError(f"expected size {expected}, got {size}")
        values = sitk.GetArrayFromImage(reader.Execute())
    return values.reshape(_shape(file))


def _by_pydicom(file: DicomFile, data: bytes) -> np.ndarray:
    bare = _bare(file, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if PYDICOM < 3:
            values = bare.pixel_array
            if bare.SamplesPerPixel == 3 and bare.PhotometricInterpretation in ("YBR_FULL", "YBR_FULL_422"):
                values = PIXELS.convert_color_space(values, bare.PhotometricInterpretation, "RGB")
        else:
            values = PIXELS.pixel_array(bare)
    return np.asarray(values).reshape(_shape(file))


def _shape(file: DicomFile) -> tuple[int, ...]:
    """Frames, rows, columns, and samples where there are several."""
    samples = file.values["SamplesPerPixel"]
    return (file.frame_count, file.values["Rows"], file.values["Columns"], *((samples,) if samples > 1 else ()))


def _palette(file: DicomFile, values: np.ndarray) -> np.ndarray:
    """Red, green and blue of palette indices."""
    try:
        return np.asarray(PIXELS.apply_color_lut(values, file.dataset))[..., :3]
    except Exception as error:
        raise ValueError(f"{file.source.name}: expected a colour palette, got a damaged one ({error}).") from error


def _luminance(file: DicomFile, values: np.ndarray) -> np.ndarray:
    """(frames, rows, columns, samples) to (frames, rows, columns), in the range of the colours."""
    photometric = str(file.values.get("PhotometricInterpretation") or "RGB")
    warnings.warn(f"{file.source.name}: colour ({photometric}) reduced to luminance.", stacklevel=2)
    if str(file.syntax) in NATIVE and photometric.startswith("YBR"):
        return values[..., 0]
    weighted: Any = values @ np.array(LUMINANCE)
    return np.rint(weighted).astype(values.dtype)
