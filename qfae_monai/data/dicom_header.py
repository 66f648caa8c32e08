"""DICOM headers: read and checked before anything is made of their pixels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from io import BytesIO
from struct import unpack_from
from typing import Any, BinaryIO, Literal

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from qfae_monai.data.dicom_kinds import INCLUDABLE, kind_of
from qfae_monai.data.mosaic import MOSAIC_TAGS, Mosaic, is_mosaic, mosaic_of
from qfae_monai.data.series_files import SourceFile
from qfae_monai.machine_memory import TooLarge, check_memory

__all__ = [
    "BIG_ENDIAN",
    "B_VALUE_TAGS",
    "NATIVE",
    "ORDER_KEYWORDS",
    "PIXEL_TAGS",
    "VOLUME_KEYWORDS",
    "DamagedFile",
    "DicomFile",
    "NotAnImage",
    "NotDicom",
    "check_native_length",
    "is_dicom",
    "native_size",
    "read_header",
    "syntax_name",
]

PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double float and integer pixel data
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
NATIVE = (IMPLICIT, "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED)
NAMES = {"1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression"}  # newer than pydicom's dictionary
MAX_FRAMES = 100_000
MAX_READS = 4_000_000  # of a header, two or three for an element: 50,000 enhanced frames, or 20 s
ELEMENTS = 3  # that follow one another in a data set without a prefix
FIRST_GROUPS = (2, 8, 9, 16)  # of the elements at its start
LAST_OF_FIRST = 8
LONG_KINDS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"SQ", b"UT", b"UN", b"UC", b"UR")
UNDEFINED = 0xFFFFFFFF
START = 4096  # bytes that hold the prefix and the meta information, which is never deflated
# What tells frames at one position apart and means something to a reader ...
VOLUME_KEYWORDS = (
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "EchoTime",
    "InversionTime",
    "DiffusionBValue",
    "ImageType",
    "TriggerTime",
)
# ... and what tells one from the next, in the order in which it is tried
ORDER_KEYWORDS = ("AcquisitionNumber", "AcquisitionTime", "ContentTime")
B_VALUE_TAGS = (0x0019100C, 0x00431039, 0x20011003, 0x00651009)  # of Siemens, GE, Philips and United Imaging
KEYWORDS = """
    SOPClassUID SOPInstanceUID Modality Manufacturer ManufacturerModelName PatientID PatientName StudyInstanceUID
    StudyID
    SeriesInstanceUID SeriesNumber SeriesDescription FrameOfReferenceUID InstanceNumber BurnedInAnnotation
    ImagePositionPatient ImageOrientationPatient PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing
    SliceThickness SpacingBetweenSlices GantryDetectorTilt
    Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation PlanarConfiguration BitsAllocated
    BitsStored HighBit PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit LossyImageCompression
    RescaleSlope RescaleIntercept ModalityLUTSequence SharedFunctionalGroupsSequence
    PerFrameFunctionalGroupsSequence DimensionIndexSequence DirectoryRecordSequence
    RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor
    BluePaletteColorLookupTableDescriptor RedPaletteColorLookupTableData GreenPaletteColorLookupTableData
    BluePaletteColorLookupTableData SegmentedRedPaletteColorLookupTableData
    SegmentedGreenPaletteColorLookupTableData SegmentedBluePaletteColorLookupTableData
""".split()  # noqa: SIM905 (fifty names read better as text)
KEYWORDS += [*VOLUME_KEYWORDS, *ORDER_KEYWORDS]


class NotDicom(ValueError):
    """The file is no DICOM at all: left aside in a folder, refused where it was named."""


class NotAnImage(ValueError):
    """DICOM without an image, such as a report: left aside in a folder, refused where it was named."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class DamagedFile(ValueError):
    """A file that is damaged; `dataset` is what its header says of the series that it belongs to, where it does."""

    def __init__(self, message: str, dataset: Dataset | None = None) -> None:
        super().__init__(message)
        self.dataset = dataset


@dataclass(frozen=True, eq=False)
class DicomFile:
    """One file's header.

    Args:
        source: where it is and what it is called.
        dataset: the elements of ``KEYWORDS``, checked where they describe pixels.
        syntax: transfer syntax.
        pixel_offset: where the pixel element starts in the file; None where the data set is deflated as a whole.
        float_pixels: whether pixels are floating-point numbers, as in parametric maps.
        mosaic: how slices lie on its one sheet; None of any other image.
        excess: bytes behind its uncompressed pixels.
    """

    source: SourceFile
    dataset: Dataset
    syntax: UID
    pixel_offset: int | None
    float_pixels: bool
    mosaic: Mosaic | None = None
    excess: int = 0

    @property
    def kind(self) -> str:
        """Why it is no scan, a name of ``INCLUDABLE``; empty for a scan."""
        found = kind_of(self.dataset)
        return found if found in INCLUDABLE else ""

    @property
    def frame_count(self) -> int:
        return int(self.dataset.get("NumberOfFrames") or 1)

    @property
    def element_head(self) -> int:
        """Bytes of the pixel element before its value: tag, type where it is explicit, and length."""
        implicit = str(self.syntax) == IMPLICIT or bool(getattr(self.dataset, "is_implicit_VR", False))
        return 8 if implicit else 12


def syntax_name(syntax: UID) -> str:
    """A transfer syntax for people: its name and UID."""
    name = NAMES.get(str(syntax), syntax.name)
    return f"{name} ({syntax})" if name != str(syntax) else f"unknown ({syntax})"


def read_header(source: SourceFile) -> DicomFile:
    """Read and check a DICOM file's header; its content decides whether it is one, not its name.

    Raises:
        NotDicom: when it is no DICOM.
        NotAnImage: when it is DICOM without an image.
        DamagedFile: when the header is damaged, or contradicts itself about its pixels.
        TooLarge: when its pixels do not fit into memory.
    """
    dataset = None
    try:
        with source.open() as opened:
            start = opened.read(START)
            if not is_dicom(start):
                raise NotDicom(f"{source.name}: expected a DICOM, NIfTI, NRRD or MetaImage file, got none of them.")
            deflated = DEFLATED.encode() in start and _is_deflated(source, start)
            opened.seek(0)
            stream: Any = _BoundedReads(opened)
            tags: list[Any] = [*KEYWORDS, *B_VALUE_TAGS]
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=tags)
            return _checked(source, stream, dataset, deflated)
    except (TooLarge, NotDicom, NotAnImage, DamagedFile):
        raise
    except Exception as error:  # pydicom raises whatever its parsing stumbles over, an archive whatever packed it
        text = f"{type(error).__name__}: {error}"
        raise DamagedFile(f"{source.name}: expected a DICOM header, got a damaged one ({text}).", dataset) from error


def _checked(source: SourceFile, stream: Any, dataset: Dataset, deflated: bool) -> DicomFile:
    """The header of a stream that stands behind it, once it agrees with itself and with the file's length."""
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or _guess_syntax(dataset)))
    offset, tag = (None, 0) if deflated else _pixel_tag(stream, syntax)
    head = None
    if deflated:
        stream.seek(0)
        whole = pydicom.dcmread(stream, force=True)
        tag = next((int(t) for t in PIXEL_TAGS if t in whole), 0)
    elif tag and offset is not None:
        stream.seek(offset)
        head = stream.read(12)
    list(dataset)  # converts the values now: what is damaged shows here
    mosaic = None
    if is_mosaic(dataset):
        stream.seek(0)
        mosaic = mosaic_of(pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*MOSAIC_TAGS]))
    file = DicomFile(source, dataset, syntax, offset, tag in PIXEL_TAGS[:2], mosaic)
    _check_image(file, tag)
    if offset is not None and head is not None and str(syntax) in NATIVE:
        return replace(file, excess=_check_length(file, offset, head))
    return file


def is_dicom(start: bytes) -> bool:
    """Whether a file that starts so is DICOM: by its prefix, or as a data set without one.

    Args:
        start: its first 4096 bytes.
    """
    return start[128:132] == b"DICM" or any(_starts_as_elements(start, order) for order in ("<", ">"))


def _starts_as_elements(start: bytes, order: str) -> bool:
    """Whether three elements in ascending order, of the groups that come first, follow one another from the start."""
    at, last, count = 0, 0, 0
    while at + 8 <= len(start) and count < ELEMENTS:
        group, element = unpack_from(f"{order}2H", start, at)
        tag = group << 16 | element
        if (tag <= last and count) or group not in FIRST_GROUPS or (count == 0 and group > LAST_OF_FIRST):
            return False
        kind = start[at + 4 : at + 6]
        if kind.isalpha() and kind.isupper():  # explicit value representation
            if kind in LONG_KINDS:
                if at + 12 > len(start):
                    return False
                length, head = unpack_from(f"{order}I", start, at + 8)[0], 12
            else:
                length, head = unpack_from(f"{order}H", start, at + 6)[0], 8
        else:
            length, head = unpack_from(f"{order}I", start, at + 4)[0], 8
        if length == UNDEFINED:  # a sequence
            return count >= 1
        last, at, count = tag, at + head + length, count + 1
    return count >= ELEMENTS or (count >= 1 and at >= len(start) == START)


class _BoundedReads:
    """A file of which only so many parts are read: zeros are elements without end, eight bytes and much time each."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell = stream.seek, stream.tell
        self._stream, self._left = stream, MAX_READS

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"expected a header of at most {MAX_READS} parts, got more")
        return self._stream.read(size)


def _is_deflated(source: SourceFile, start: bytes) -> bool:
    """Whether the data set is deflated; refuses one that would not fit into memory."""
    if start[128:132] != b"DICM":
        return False
    # the meta information is not deflated: preamble, prefix, its group length element, then as long as that says
    if start[132:136] != b"\x02\0\0\0":
        raise ValueError("deflated data set without the length of its file meta information")
    end = 144 + int.from_bytes(start[140:144], "little")
    meta = pydicom.filereader.read_dataset(BytesIO(start[144:end]), is_implicit_VR=False, is_little_endian=True)
    if str(meta.get("TransferSyntaxUID", "")) != DEFLATED:
        return False
    limit, size = max(64 << 20, 200 * source.size), 0
    with source.open() as stream:
        stream.seek(end)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        while chunk := stream.read(1 << 16):
            while chunk and size <= limit:
                size += len(inflater.decompress(chunk, 1 << 20))
                chunk = inflater.unconsumed_tail
            if size > limit:
                raise ValueError(f"deflated data set grows beyond {limit} bytes")
    check_memory(source.name, size, f"a deflated data set of {size} bytes")
    return True


def _guess_syntax(dataset: Dataset) -> str:
    if getattr(dataset, "is_little_endian", True) is False:
        return BIG_ENDIAN
    return IMPLICIT if getattr(dataset, "is_implicit_VR", True) else "1.2.840.10008.1.2.1"


def _pixel_tag(stream: Any, syntax: UID) -> tuple[int, int]:
    """Where the reader stopped, and the tag that is there (0 at the file's end)."""
    offset = stream.tell()
    head = stream.read(4)
    order: Literal["big", "little"] = "big" if syntax == BIG_ENDIAN else "little"
    tag = (int.from_bytes(head[:2], order) << 16) | int.from_bytes(head[2:], order) if len(head) == 4 else 0
    return offset, tag if tag in PIXEL_TAGS else 0


def _check_image(file: DicomFile, tag: int) -> None:
    """Refuse what has no pixels, and pixels that cannot be what the header says."""
    dataset, name = file.dataset, file.source.name
    what = UID(str(dataset.get("SOPClassUID", ""))).name or "DICOM of an unknown class"
    kind = kind_of(dataset)
    if not tag and kind and kind not in INCLUDABLE:
        known = "DICOMDIR" if kind == "dicomdir" else f"{what} without pixel data"
        raise NotAnImage(f"{name}: expected an image, got {known}.", kind)
    if not tag and not dataset.get("Rows") and "Image" not in what and dataset.get("SOPClassUID"):
        raise NotAnImage(f"{name}: expected an image, got {what} without pixel data.", kind or "document")
    if not tag:
        raise DamagedFile(f"{name}: truncated, expected pixel data, got a {what} that ends before it.", dataset)
    wanted: dict[str, tuple[int, ...] | range] = {
        "Rows": range(1, 65536),
        "Columns": range(1, 65536),
        "SamplesPerPixel": (1, 3),
        "BitsAllocated": (32, 64) if file.float_pixels else (1, 8, 16, 32),
        "NumberOfFrames": range(1, MAX_FRAMES),
    }
    if not file.float_pixels:
        wanted |= {"PixelRepresentation": (0, 1), "BitsStored": range(1, int(dataset.get("BitsAllocated") or 0) + 1)}
    defaults = {"NumberOfFrames": 1, "SamplesPerPixel": 1, "BitsStored": dataset.get("BitsAllocated")}
    for keyword, values in wanted.items():
        value: Any = dataset.get(keyword)
        value = defaults.get(keyword) if value is None or value == "" else value
        if value not in values:
            text = (
                f"{values.start} to {values.stop - 1}" if isinstance(values, range) else " or ".join(map(str, values))
            )
            raise DamagedFile(f"{name}: expected {keyword} {text}, got {value!r}.", dataset)
        setattr(dataset, keyword, int(value))
    samples, bits = int(dataset.SamplesPerPixel), int(dataset.BitsAllocated)
    size = dataset.Rows * dataset.Columns * dataset.NumberOfFrames * samples * bits // 8
    declared = f"a header that declares {size} bytes, {dataset.NumberOfFrames} x {dataset.Rows} x {dataset.Columns}"
    check_memory(name, size, f"{declared} pixels")


def native_size(dataset: Dataset) -> tuple[int, int]:
    """How many numbers uncompressed pixels are, and how many bytes they take."""
    subsampled = str(dataset.get("PhotometricInterpretation")) == "YBR_FULL_422" and dataset.SamplesPerPixel == 3
    samples = 2 if subsampled else int(dataset.SamplesPerPixel)
    count = int(dataset.NumberOfFrames) * int(dataset.Rows) * int(dataset.Columns) * samples
    return count, (count * int(dataset.BitsAllocated) + 7) // 8


def check_native_length(file: DicomFile, length: int) -> int:
    """Refuse uncompressed pixels that are fewer than the header's size makes, or a whole frame more.

    Returns:
        How many bytes follow them, which older senders added; one may pad them to an even number and does not count.

    Raises:
        DamagedFile: with both lengths and the size.
    """
    dataset, size = file.dataset, native_size(file.dataset)[1]
    if not size <= length < size + max(2, size // file.frame_count):
        raise DamagedFile(
            f"{file.source.name}: expected {size} bytes of pixels for {dataset.NumberOfFrames} x {dataset.Rows} x "
            f"{dataset.Columns} x {dataset.SamplesPerPixel} of {dataset.BitsAllocated} bits, got {length}.",
            dataset,
        )
    return length - size if length > size + 1 else 0


def _check_length(file: DicomFile, offset: int, head: bytes) -> int:
    """Compare the length that the pixel element's head declares with the header and with the file."""
    head = head[: file.element_head]
    length = int.from_bytes(head[-4:], "big" if str(file.syntax) == BIG_ENDIAN else "little")
    available = file.source.size - offset - len(head)
    name = file.source.name
    if length == UNDEFINED:
        raise DamagedFile(f"{name}: expected uncompressed pixels, got an element of undefined length.", file.dataset)
    if length > available:
        raise DamagedFile(f"{name}: truncated, expected {length} bytes of pixels, got {available}.", file.dataset)
    return check_native_length(file, length)
