"""Elements of a DICOM header that the reader asks for; regular headers are walked over, all others left to pydicom."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, BinaryIO, Literal

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from qfae_monai.files.machine_memory import check_memory
from qfae_monai.reading.dicom_file import BIG_ENDIAN, DEFLATED, IMPLICIT, PIXEL_TAGS
from qfae_monai.reading.header_walk import RawElement, Walked, walked_elements
from qfae_monai.reading.series_files import SourceFile

__all__ = ["B_VALUE_TAGS", "ORDER_KEYWORDS", "VOLUME_KEYWORDS", "Elements", "all_elements", "regular_elements"]

MAX_READS = 4_000_000  # of a header, two or three for an element: 50,000 enhanced frames, or 20 s
MAX_SHARED = 4096  # elements that files of a series have alike, kept as they were converted
MAX_SHARED_BYTES = 128  # of one of them
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
CHARACTER_SET = 0x00080005
TAGS = {int(tag): BaseTag(tag) for tag in (*map(tag_for_keyword, KEYWORDS), *B_VALUE_TAGS, CHARACTER_SET) if tag}
WORDS = {TAGS[int(tag)]: word for word in KEYWORDS if (tag := tag_for_keyword(word))}
AMBIGUOUS = frozenset(tag for tag in TAGS.values() if not tag.is_private and " or " in dictionary_VR(tag))


@dataclass(frozen=True)
class Elements:
    """Elements before the pixel data, values converted.

    Attributes:
        dataset: elements of `KEYWORDS`.
        values: of them by keyword.
        syntax: transfer syntax, guessed where nothing says.
        implicit: whether elements leave out their types.
        offset: where the pixel element starts; None where the data set is deflated as a whole.
        tag: of the pixel element; 0 where there is none.
        head: first 12 bytes of the pixel element; empty where it has no place in the file.
    """

    dataset: Dataset
    values: dict[str, Any]
    syntax: UID
    implicit: bool
    offset: int | None
    tag: int
    head: bytes = b""


def regular_elements(stream: BinaryIO, start: bytes) -> Elements | None:
    """Elements of a header in which nothing is out of the ordinary; None of any other.

    Args:
        stream: the file.
        start: its first `header_walk.WINDOW` bytes.
    """
    walked = walked_elements(stream, start, TAGS)
    if walked is None:
        return None
    tag = int.from_bytes(walked.head[:2], "little") << 16 | int.from_bytes(walked.head[2:4], "little")
    if tag not in PIXEL_TAGS:
        return None
    try:
        dataset, values = _converted(walked)
    except Exception:  # pydicom raises whatever a value is that it cannot convert: told where all is read
        return None
    return Elements(dataset, values, UID(walked.syntax), walked.implicit, walked.offset, tag, walked.head)


def _converted(walked: Walked) -> tuple[Dataset, dict[str, Any]]:
    """A data set of converted elements, most of which it shares with other files of its series; and their values."""
    charset = walked.elements.get(CHARACTER_SET)
    converted: dict[BaseTag, Any] = {}
    ambiguous = []
    for number, element in walked.elements.items():
        tag = TAGS[number]
        if element[0] is None and tag in AMBIGUOUS:
            ambiguous.append(tag)
            converted[tag] = _raw(tag, element)
        elif len(element[1]) <= MAX_SHARED_BYTES:
            converted[tag] = _shared_element(tag, element, charset)
        else:
            converted[tag] = _element(tag, element, charset)
    dataset = Dataset(converted)
    for tag in ambiguous:  # signed or not by other elements
        converted[tag] = dataset[tag]
    return dataset, {WORDS[tag]: element.value for tag, element in converted.items() if tag in WORDS}


def _values(dataset: Dataset) -> dict[str, Any]:
    """Values of a data set by keyword."""
    return {word: dataset[tag].value for tag, word in WORDS.items() if tag in dataset}


def _element(tag: BaseTag, element: RawElement, charset: RawElement | None) -> DataElement:
    """An element as pydicom converts it."""
    raw: dict[BaseTag, Any] = {tag: _raw(tag, element)}
    if charset is not None:
        raw[TAGS[CHARACTER_SET]] = _raw(TAGS[CHARACTER_SET], charset)
    return Dataset(raw)[tag]


_shared_element = lru_cache(maxsize=MAX_SHARED)(_element)


def _raw(tag: BaseTag, element: RawElement) -> RawDataElement:
    kind, value = element
    stated: Any = value or empty_value_for_VR(kind, raw=True)
    return RawDataElement(tag, kind, len(value), stated, 0, kind is None, True)


def all_elements(source: SourceFile, stream: BinaryIO, start: bytes, read: list[Dataset]) -> Elements:
    """Elements of any header, by pydicom.

    Args:
        source: for messages.
        stream: the file.
        start: its first `dicom_prefix.START` bytes or more.
        read: gets the data set before its values are converted, so that it is at hand where one of them is damaged.

    Raises:
        Exception: whatever pydicom stumbles over.
    """
    deflated = DEFLATED.encode() in start and _is_deflated(source, start)
    bounded: Any = _BoundedReads(stream)
    bounded.seek(0)
    tags: list[Any] = [*KEYWORDS, *B_VALUE_TAGS]
    dataset = pydicom.dcmread(bounded, stop_before_pixels=True, force=True, specific_tags=tags)
    read.append(dataset)
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or _guess_syntax(dataset)))
    offset, tag = (None, 0) if deflated else _pixel_tag(bounded, syntax)
    head = b""
    if deflated:
        bounded.seek(0)
        whole = pydicom.dcmread(bounded, force=True)
        tag = next((int(t) for t in PIXEL_TAGS if t in whole), 0)
    elif tag and offset is not None:
        bounded.seek(offset)
        head = bounded.read(12)
    list(dataset)  # converts the values now: what is damaged shows here
    implicit = str(syntax) == IMPLICIT or bool(getattr(dataset, "is_implicit_VR", False))
    return Elements(dataset, _values(dataset), syntax, implicit, offset, tag, head)


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
    """Offset at which the reader stopped, and the tag of the pixel element there (0 if there is none)."""
    offset = stream.tell()
    head = stream.read(4)
    order: Literal["big", "little"] = "big" if syntax == BIG_ENDIAN else "little"
    tag = (int.from_bytes(head[:2], order) << 16) | int.from_bytes(head[2:], order) if len(head) == 4 else 0
    return offset, tag if tag in PIXEL_TAGS else 0
