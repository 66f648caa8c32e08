"""Compressed DICOM pixels, decoded by GDCM (SimpleITK) or pydicom's plug-ins once their sizes are found to be true."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, generate_uid

from qfae_monai.reading.archive import scratch_file
from qfae_monai.reading.dicom_file import DicomFile, syntax_name

__all__ = ["PIXELS", "decoded", "frame_size"]

# Size of a compressed frame by its own header, read before a decoder in C is trusted with the frame.
# pydicom 3 reads the precision of a JPEG 2000 header but not its size, and JPEG headers in private only; pydicom 2.4
# reads neither.

JPEG_START, JPEG2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
# start-of-frame markers of JPEG and JPEG-LS; C4, C8 and CC are something else
START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def frame_size(frame: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and samples a pixel of a JPEG, JPEG-LS or JPEG 2000 frame; None for anything else.

    Raises:
        ValueError: when the frame starts as one of them and ends before it says its size.

    >>> frame_size(bytes.fromhex("ffd8ffc3000b10000400050100"))
    (4, 5, 1)
    """
    if frame[:2] == JPEG_START:
        return _jpeg(frame)
    start = frame.find(JPEG2000_START, 0, 4096)  # behind the boxes of a JP2 file, where there are any
    if start >= 0 and len(frame) >= start + 42:
        # of the reference grid, pixels: Xsiz, Ysiz, XOsiz, YOsiz
        right, bottom, left, top = (int.from_bytes(frame[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
        return bottom - top, right - left, int.from_bytes(frame[start + 40 : start + 42], "big")
    if start >= 0:
        raise ValueError("JPEG 2000 frame ends within its header")
    return None


def _jpeg(frame: bytes) -> tuple[int, int, int]:
    at = 2  # behind the marker that starts an image
    while at + 10 <= len(frame):
        if frame[at] != 0xFF:
            raise ValueError(f"JPEG frame has no marker at byte {at}")
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in START_OF_FRAME:
            return (
                int.from_bytes(frame[at + 5 : at + 7], "big"),
                int.from_bytes(frame[at + 7 : at + 9], "big"),
                frame[at + 9],
            )
        else:
            # a segment's length counts its own two bytes, not the marker's
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    raise ValueError("JPEG frame ends before it says its size")


PYDICOM = int(pydicom.__version__.split(".")[0])
PIXELS: Any = import_module("pydicom.pixels" if PYDICOM >= 3 else "pydicom.pixel_data_handlers.util")

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RLE = "1.2.840.10008.1.2.5"
FREE_BYTES = 64 << 20  # compressed pixels up to this size are decoded whatever their ratio
MAX_RATIO = 2000  # pixels over compressed bytes, above FREE_BYTES


def decoded(file: DicomFile, data: bytes) -> np.ndarray:
    """Try GDCM, then pydicom; RLE the other way round, as pydicom checks its lengths."""
    header = file.values
    declared = header["Rows"] * header["Columns"] * file.frame_count * header["SamplesPerPixel"]  # numbers
    declared *= max(1, header["BitsAllocated"] // 8)  # bytes
    if declared > max(FREE_BYTES, MAX_RATIO * len(data)):
        raise ValueError(f"{file.source.name}: expected {declared} bytes of pixels, got {len(data)} compressed ones")
    problems = []
    decoders = [_by_pydicom, _by_gdcm] if str(file.syntax) == RLE else [_by_gdcm, _by_pydicom]
    try:
        _check_frames(file, data)
    except Exception as error:
        raise ValueError(f"{file.source.name}: damaged {syntax_name(file.syntax)} pixels ({error})") from error
    for decoder in decoders:
        try:
            return decoder(file, data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # every decoder has errors of its own; those of Rust are no Exception
            problems.append(f"{decoder.__name__[4:]}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    raise ValueError(
        f"{file.source.name}: expected pixels that GDCM or pydicom's plug-ins decode, got transfer syntax "
        f"{syntax_name(file.syntax)} ({'; '.join(problems)})"
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
        if tag == b"\xfe\xff\xdd\xe0":  # end of the sequence
            break
        if tag != b"\xfe\xff\x00\xe0":  # an item
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
        size = (*reader.GetSize(), 1)[:3]  # columns, rows, frames
        if size != expected:
            raise ValueError(f"expected size {expected}, got {size}")
        values = sitk.GetArrayFromImage(reader.Execute())  # (frames, rows, columns): the slowest axis first
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
