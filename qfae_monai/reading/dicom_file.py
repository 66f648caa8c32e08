"""A DICOM file whose header was read: its elements, where its pixels lie, and what is raised where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from qfae_monai.reading.left_aside import INCLUDABLE, kind_of
from qfae_monai.reading.mosaic import Mosaic
from qfae_monai.reading.series_files import SourceFile

__all__ = [
    "BIG_ENDIAN",
    "DEFLATED",
    "IMPLICIT",
    "NATIVE",
    "PIXEL_TAGS",
    "DamagedFile",
    "DicomFile",
    "NotAnImage",
    "NotDicom",
    "syntax_name",
]

PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double float and integer pixel data
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
NATIVE = (IMPLICIT, "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED)
NAMES = {"1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression"}  # newer than pydicom's dictionary


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

    Attributes:
        source: where it is and what it is called.
        dataset: the elements that the reader asks for, as the file has them; not to be changed, as files of a series
            share those that they have alike.
        values: of them by keyword, checked and filled in where they describe pixels. A data set looks each up anew.
        syntax: transfer syntax.
        implicit: whether elements leave out their types.
        pixel_offset: where the pixel element starts in the file; None where the data set is deflated as a whole.
        float_pixels: whether pixels are floating-point numbers, as in parametric maps.
        mosaic: how slices lie on its one sheet; None of any other image.
        excess: bytes behind its uncompressed pixels.
        kept: the file from its pixel element on, where it was read with the header: taken out by whoever decodes it.
    """

    source: SourceFile
    dataset: Dataset
    values: Mapping[str, Any]
    syntax: UID
    implicit: bool
    pixel_offset: int | None
    float_pixels: bool
    mosaic: Mosaic | None = None
    excess: int = 0
    kept: list[bytes] = field(default_factory=list, repr=False)

    @cached_property
    def kind(self) -> str:
        """Kind of an object that is no scan, a name of `INCLUDABLE`; empty for a scan."""
        found = kind_of(self.values)
        return found if found in INCLUDABLE else ""

    @property
    def frame_count(self) -> int:
        return int(self.values["NumberOfFrames"])

    @property
    def element_head(self) -> int:
        """Bytes of the pixel element before its value: tag, type where it is explicit, and length."""
        return 8 if self.implicit else 12


def syntax_name(syntax: UID) -> str:
    """A transfer syntax for people: its name and UID."""
    name = NAMES.get(str(syntax), syntax.name)
    return f"{name} ({syntax})" if name != str(syntax) else f"unknown ({syntax})"
