"""DICOM pixels: the stored numbers of a file's frames, uncompressed ones by numpy; colour becomes luminance."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import pydicom

from qfae_monai.files.machine_memory import check_memory
from qfae_monai.reading.compressed_pixels import PIXELS, decoded
from qfae_monai.reading.dicom_file import BIG_ENDIAN, NATIVE, PIXEL_TAGS, DicomFile, syntax_name
from qfae_monai.reading.dicom_frames import Frame
from qfae_monai.reading.dicom_values import padding_mask, real_values
from qfae_monai.reading.geometry_risks import Stack
from qfae_monai.reading.pixel_description import UNDEFINED, check_native_length, native_size

__all__ = ["pixel_bytes", "stacked_planes", "stored_values"]

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as in DICOM's own YBR_FULL


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
            f"{file.source.name}: expected pixel data, got damaged ones ({type(error).__name__}: {error})"
        ) from error
    header = file.values
    values = _native(file, element) if str(file.syntax) in NATIVE else decoded(file, element)
    if str(header.get("PhotometricInterpretation")) == "PALETTE COLOR":
        values = _palette(file, values)
    if values.ndim == 4:
        values = _luminance(file, values)
    expected = (file.frame_count, header["Rows"], header["Columns"])
    if values.shape != expected:
        raise ValueError(
            f"{file.source.name}: expected (frames, rows, columns) {expected} by the header, "
            f"got {values.shape} from the decoder of {syntax_name(file.syntax)}"
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
    length = int.from_bytes(head[-4:], "little" if little else "big")  # bytes
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
    count = native_size(header)[0]  # numbers
    if bits == 1:
        # the first pixel is the lowest bit
        unpacked = np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")
        return unpacked.reshape(frames, rows, columns)
    kind = "f" if file.float_pixels else "i" if header["PixelRepresentation"] else "u"
    order = ">" if str(file.syntax) == BIG_ENDIAN else "<"
    flat = np.frombuffer(data, np.dtype(f"{order}{kind}{bits // 8}"), count=count)  # (numbers,)
    values = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    if (
        samples == 3 and str(header.get("PhotometricInterpretation")) == "YBR_FULL_422"
    ):  # Y1 Y2 Cb Cr: the luminance is there as it is
        return values.reshape(frames, rows, columns // 2, 4)[..., :2].reshape(frames, rows, columns, 1)
    if samples > 1:
        if header.get("PlanarConfiguration"):
            # stored colour by colour, not pixel by pixel
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


def _palette(file: DicomFile, values: np.ndarray) -> np.ndarray:
    """Red, green and blue of palette indices."""
    try:
        return np.asarray(PIXELS.apply_color_lut(values, file.dataset))[..., :3]
    except Exception as error:
        raise ValueError(f"{file.source.name}: expected a colour palette, got a damaged one ({error})") from error


def _luminance(file: DicomFile, values: np.ndarray) -> np.ndarray:
    """(frames, rows, columns, samples) to (frames, rows, columns), in the range of the colours."""
    photometric = str(file.values.get("PhotometricInterpretation") or "RGB")
    warnings.warn(f"{file.source.name}: colour ({photometric}) reduced to luminance.", stacklevel=2)
    if str(file.syntax) in NATIVE and photometric.startswith("YBR"):
        return values[..., 0]
    weighted: Any = values @ np.array(LUMINANCE)
    return np.rint(weighted).astype(values.dtype)


# The planes of a stack decoded and put into one volume: real values, padding told apart.

VOXEL_BYTES = 4  # of the widest stored DICOM pixel; as many again for real values, and for their float32 copy


def stacked_planes(stack: Stack) -> tuple[np.ndarray, np.ndarray | None]:
    """(X, Y, Z) of real values, and where they are padding, None where there is none.

    Raises:
        ValueError: when pixels are damaged, or do not fit into memory.
    """
    first = next(frame for frame in stack.frames if frame is not None)
    shape = stack.shape
    what = f"a series of {' x '.join(map(str, shape))} voxels"
    check_memory(first.file.source.name, 3 * VOXEL_BYTES * int(np.prod(shape, dtype=object)), what)
    planes: list[np.ndarray | None] = []
    masks: list[np.ndarray | None] = []
    decoded = _Decoded()
    for frame in stack.frames:
        stored = None if frame is None else decoded.frame(frame)
        masks.append(None if frame is None or stored is None else padding_mask(frame, stored))
        planes.append(None if frame is None or stored is None else real_values(frame, stored))
    return _assembled(planes, masks, shape)


def _assembled(
    planes: list[np.ndarray | None], masks: list[np.ndarray | None], shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """(X, Y, Z) of planes (rows, columns); what is padding, or a missing plane, takes the minimum of the rest."""
    present = [(plane, mask) for plane, mask in zip(planes, masks, strict=True) if plane is not None]
    # F: each plane is one piece of memory
    array = np.empty(shape, dtype=np.result_type(*{plane.dtype for plane, _ in present}), order="F")
    padding = np.zeros(shape, dtype=bool, order="F")
    for index, (plane, mask) in enumerate(zip(planes, masks, strict=True)):
        if plane is not None:
            array[..., index] = plane.T  # (rows, columns) to (X, Y)
        if plane is None or mask is not None:
            padding[..., index] = True if mask is None else mask.T
    valid = [plane if mask is None else plane[~mask] for plane, mask in present]
    lowest = [part.min() for part in valid if part.size]
    if not padding.any() or not lowest:
        return array, None
    for index in np.flatnonzero(padding.any(axis=(0, 1))).tolist():
        np.copyto(array[..., index], min(lowest), where=padding[..., index])
    return array, padding


class _Decoded:
    """Stored values of the file that was asked for last: frames of one file come one after another."""

    def __init__(self) -> None:
        self.file: DicomFile | None = None
        self.values = np.empty(0)

    def frame(self, frame: Frame) -> np.ndarray:
        if self.file is not frame.file:
            self.values, self.file = stored_values(frame.file), frame.file
        plane = self.values[frame.index]
        return plane if frame.window is None else plane[frame.window]
