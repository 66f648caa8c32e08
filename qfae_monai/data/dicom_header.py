"""DICOM headers: read and checked before anything is made of their pixels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, Literal

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from qfae_monai.data.series_files import SourceFile
from qfae_monai.machine_memory import TooLarge, check_memory

__all__ = [
    "BIG_ENDIAN",
    "NATIVE",
    "PIXEL_TAGS",
    "VOLUME_KEYWORDS",
    "DicomFile",
    "NotAnImage",
    "NotDicom",
    "check_native_length",
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
START = 4096  # bytes that hold the prefix and the meta information, which is never deflated
# What tells frames at one position apart, in the order in which they are tried.
VOLUME_KEYWORDS = (
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "EchoTime",
    "DiffusionBValue",
    "ImageType",
    "AcquisitionNumber",
    "TriggerTime",
    "AcquisitionTime",
    "ContentTime",
)
KEYWORDS = """
    SOPClassUID SOPInstanceUID Modality Manufacturer ManufacturerModelName PatientID StudyInstanceUID StudyID
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
KEYWORDS += VOLUME_KEYWORDS


class NotDicom(ValueError):
    """The file is no DICOM at all: left aside in a folder, refused where it was named."""


class NotAnImage(ValueError):
    """DICOM without an image, such as a report: left aside in a folder, refused where it was named."""


@dataclass(frozen=True)
class DicomFile:
    """One file's header.

    Args:
        source: where it is and what it is called.
        dataset: the elements of ``KEYWORDS``, checked where they describe pixels.
        syntax: transfer syntax.
        pixel_offset: where the pixel element starts in the file; None where the data set is deflated as a whole.
        float_pixels: whether pixels are floating-point numbers, as in parametric maps.
    """

    source: SourceFile
    dataset: Dataset
    syntax: UID
    pixel_offset: int | None
    float_pixels: bool

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


def read_header(source: SourceFile, named: bool = True) -> DicomFile:
    """Read and check a DICOM file's header.

    Args:
        source: the file.
        named: whether the user named it; then a file without the DICOM prefix is tried too.

    Raises:
        NotDicom: when it is no DICOM.
        NotAnImage: when it is DICOM without an image.
        ValueError: when the header is damaged, or contradicts itself about its pixels.
    """
    head = None
    try:
        with source.open() as opened:
            start = opened.read(START)
    except Exception as error:  # a member of an archive is inflated by whatever packed it
        raise _damaged(source, error) from error
    _check_prefix(source, start[:132], named)
    try:
        with source.open() as opened:
            deflated = DEFLATED.encode() in start and _is_deflated(source, start)
            stream: Any = _BoundedReads(opened)
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=list(KEYWORDS))
            syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or _guess_syntax(dataset)))
            offset, tag = (None, 0) if deflated else _pixel_tag(stream, syntax)
            if deflated:
                stream.seek(0)
                whole = pydicom.dcmread(stream, force=True)
                tag = next((int(t) for t in PIXEL_TAGS if t in whole), 0)
            elif tag and offset is not None:
                stream.seek(offset)
                head = stream.read(12)
        list(dataset)  # converts the values now: what is damaged shows here
    except TooLarge:
        raise
    except Exception as error:  # pydicom raises whatever its parsing stumbles over
        raise _damaged(source, error) from error
    file = DicomFile(source, dataset, syntax, offset, tag in PIXEL_TAGS[:2])
    try:
        _check_image(file, tag)
        if offset is not None and head is not None and str(syntax) in NATIVE:
            _check_length(file, offset, head)
    except ValueError:
        raise
    except Exception as error:  # an element of another kind than its tag's
        raise _damaged(source, error) from error
    return file


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


def _damaged(source: SourceFile, error: Exception) -> ValueError:
    return ValueError(f"{source.name}: expected a DICOM header, got a damaged one ({type(error).__name__}: {error}).")


def _check_prefix(source: SourceFile, start: bytes, named: bool) -> None:
    if start[128:] == b"DICM":
        return
    # a data set without the prefix starts with group 2 or 8 and an element of it
    bare = start[:2] in (b"\x08\x00", b"\x02\x00", b"\x00\x08", b"\x00\x02") and len(start) == 132
    if not bare or not (named or source.name.suffix.lower() in ("", ".dcm", ".ima", ".dicom")):
        raise NotDicom(f"{source.name}: expected a DICOM, NIfTI, NRRD or MetaImage file, got none of them.")


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
    kind = UID(str(dataset.get("SOPClassUID", ""))).name or "DICOM of an unknown class"
    if "DirectoryRecordSequence" in dataset:
        raise NotAnImage(f"{name}: expected an image, got a DICOMDIR.")
    if not tag and not dataset.get("Rows"):
        raise NotAnImage(f"{name}: expected an image, got {kind} without pixel data.")
    if not tag:
        raise ValueError(f"{name}: expected pixel data, got a {kind} that ends before it.")
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
            raise ValueError(f"{name}: expected {keyword} {text}, got {value!r}.")
        setattr(dataset, keyword, int(value))
    samples, bits = int(dataset.SamplesPerPixel), int(dataset.BitsAllocated)
    size = dataset.Rows * dataset.Columns * dataset.NumberOfFrames * samples * bits // 8
    what = f"a header that declares {size} bytes, {dataset.NumberOfFrames} x {dataset.Rows} x {dataset.Columns} pixels"
    check_memory(name, size, what)


def native_size(dataset: Dataset) -> tuple[int, int]:
    """How many numbers uncompressed pixels are, and how many bytes they take."""
    subsampled = str(dataset.get("PhotometricInterpretation")) == "YBR_FULL_422" and dataset.SamplesPerPixel == 3
    samples = 2 if subsampled else int(dataset.SamplesPerPixel)
    count = int(dataset.NumberOfFrames) * int(dataset.Rows) * int(dataset.Columns) * samples
    return count, (count * int(dataset.BitsAllocated) + 7) // 8


def check_native_length(file: DicomFile, length: int) -> None:
    """Refuse uncompressed pixels of another length than the header's size makes; one byte may pad them.

    Raises:
        ValueError: with both lengths and the size.
    """
    dataset, size = file.dataset, native_size(file.dataset)[1]
    if not size <= length <= size + 1:
        raise ValueError(
            f"{file.source.name}: expected {size} bytes of pixels for {dataset.NumberOfFrames} x {dataset.Rows} x "
            f"{dataset.Columns} x {dataset.SamplesPerPixel} of {dataset.BitsAllocated} bits, got {length}."
        )


def _check_length(file: DicomFile, offset: int, head: bytes) -> None:
    """Compare the length that the pixel element's head declares with the header and with the file."""
    head = head[: file.element_head]
    length = int.from_bytes(head[-4:], "big" if str(file.syntax) == BIG_ENDIAN else "little")
    available = file.source.size - offset - len(head)
    if length == 0xFFFFFFFF:
        raise ValueError(f"{file.source.name}: expected uncompressed pixels, got an element of undefined length.")
    if length > available:
        raise ValueError(f"{file.source.name}: truncated, expected {length} bytes of pixels, got {available}.")
    check_native_length(file, length)
