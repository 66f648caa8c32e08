"""Checks of a header's pixel description against itself and against the length of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom.uid import UID

from qfae_monai.files.machine_memory import check_memory
from qfae_monai.reading.dicom_elements import Elements
from qfae_monai.reading.dicom_file import BIG_ENDIAN, DamagedFile, DicomFile, NotAnImage
from qfae_monai.reading.left_aside import INCLUDABLE, kind_of

__all__ = ["check_description", "check_native_length", "excess_of", "native_size", "refuse_without_pixels"]

MAX_FRAMES = 100_000
UNDEFINED = 0xFFFFFFFF  # in place of a length: the element ends with a delimiter
WHOLE: dict[str, tuple[int, ...] | range] = {
    "Rows": range(1, 65536),
    "Columns": range(1, 65536),
    "SamplesPerPixel": (1, 3),
    "NumberOfFrames": range(1, MAX_FRAMES),
}


def refuse_without_pixels(name: Any, found: Elements) -> None:
    """Say what a header without pixels is.

    Raises:
        NotAnImage: when it is a kind of object that has none.
        DamagedFile: when its pixels should be there.
    """
    header = found.values
    what = UID(str(header.get("SOPClassUID", ""))).name or "DICOM of an unknown class"
    kind = kind_of(header)
    if kind and kind not in INCLUDABLE:
        known = "DICOMDIR" if kind == "dicomdir" else f"{what} without pixel data"
        raise NotAnImage(f"{name}: expected an image, got {known}", kind)
    if not header.get("Rows") and "Image" not in what and header.get("SOPClassUID"):
        raise NotAnImage(f"{name}: expected an image, got {what} without pixel data", kind or "document")
    raise DamagedFile(f"{name}: truncated, expected pixel data, got a {what} that ends before it", found.dataset)


def check_description(name: Any, found: Elements, *, float_pixels: bool) -> None:
    """Refuse pixels that cannot be what the header says; what it may leave out is filled in.

    Raises:
        DamagedFile: with the keyword and its value.
        TooLarge: when they do not fit into memory.
    """
    header = found.values
    allocated = header.get("BitsAllocated")
    wanted = {**WHOLE, "BitsAllocated": (32, 64) if float_pixels else (1, 8, 16, 32)}
    if not float_pixels:
        wanted |= {"PixelRepresentation": (0, 1), "BitsStored": range(1, int(allocated or 0) + 1)}
    defaults = {"NumberOfFrames": 1, "SamplesPerPixel": 1, "BitsStored": allocated}
    for keyword, values in wanted.items():
        value: Any = header.get(keyword)
        value = defaults.get(keyword) if value is None or value == "" else value
        if value not in values:
            text = (
                f"{values.start} to {values.stop - 1}" if isinstance(values, range) else " or ".join(map(str, values))
            )
            raise DamagedFile(f"{name}: expected {keyword} {text}, got {value!r}", found.dataset)
        header[keyword] = int(value)
    size = header["Rows"] * header["Columns"] * header["NumberOfFrames"]  # pixels
    size = size * header["SamplesPerPixel"] * header["BitsAllocated"] // 8  # bytes
    frames = f"{header['NumberOfFrames']} x {header['Rows']} x {header['Columns']}"
    check_memory(name, size, f"a header that declares {size} bytes, {frames} pixels")


def native_size(header: Mapping[str, Any]) -> tuple[int, int]:
    """Number of values in uncompressed pixels, and their size in bytes."""
    subsampled = str(header.get("PhotometricInterpretation")) == "YBR_FULL_422" and header["SamplesPerPixel"] == 3
    samples = 2 if subsampled else header["SamplesPerPixel"]  # Y1 Y2 Cb Cr: four numbers for two pixels
    count = header["NumberOfFrames"] * header["Rows"] * header["Columns"] * samples
    return count, (count * header["BitsAllocated"] + 7) // 8


def check_native_length(file: DicomFile, length: int) -> int:
    """Refuse uncompressed pixels that are fewer than the header's size makes, or a whole frame more.

    Returns:
        How many bytes follow them, which older senders added; one may pad them to an even number and does not count.

    Raises:
        DamagedFile: with both lengths and the size.
    """
    header, size = file.values, native_size(file.values)[1]
    if not size <= length < size + max(2, size // file.frame_count):
        raise DamagedFile(
            f"{file.source.name}: expected {size} bytes of pixels for {header['NumberOfFrames']} x {header['Rows']} x "
            f"{header['Columns']} x {header['SamplesPerPixel']} of {header['BitsAllocated']} bits, got {length}",
            file.dataset,
        )
    return length - size if length > size + 1 else 0


def excess_of(file: DicomFile, offset: int, head: bytes) -> int:
    """Compare the length that the pixel element's head declares with the header and with the file."""
    head = head[: file.element_head]
    length = int.from_bytes(head[-4:], "big" if str(file.syntax) == BIG_ENDIAN else "little")  # bytes
    available = file.source.size - offset - len(head)  # bytes
    name = file.source.name
    if length == UNDEFINED:
        raise DamagedFile(f"{name}: expected uncompressed pixels, got an element of undefined length", file.dataset)
    if length > available:
        raise DamagedFile(f"{name}: truncated, expected {length} bytes of pixels, got {available}", file.dataset)
    return check_native_length(file, length)
