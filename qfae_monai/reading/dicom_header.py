"""DICOM headers: read and checked before anything is made of their pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset

from qfae_monai.files.machine_memory import TooLarge
from qfae_monai.reading.dicom_elements import all_elements, regular_elements
from qfae_monai.reading.dicom_file import NATIVE, PIXEL_TAGS, DamagedFile, DicomFile, NotAnImage, NotDicom
from qfae_monai.reading.dicom_prefix import START, is_dicom
from qfae_monai.reading.header_walk import WINDOW
from qfae_monai.reading.mosaic import MOSAIC_TAGS, is_mosaic, mosaic_of
from qfae_monai.reading.pixel_description import check_description, excess_of, refuse_without_pixels
from qfae_monai.reading.series_files import SourceFile

__all__ = ["DamagedFile", "DicomFile", "NotAnImage", "NotDicom", "read_header"]


def read_header(source: SourceFile, *, pixels: int = 0) -> DicomFile:
    """Read and check a DICOM file's header; its content decides whether it is one, not its name.

    Args:
        source: the file.
        pixels: bytes; a scan's pixels that take no more are read, too, as long as the file is open.

    Raises:
        NotDicom: when it is no DICOM.
        NotAnImage: when it is DICOM without an image.
        DamagedFile: when the header is damaged, or contradicts itself about its pixels.
        TooLarge: when its pixels do not fit into memory.
    """
    read: list[Dataset] = []
    try:
        with source.open() as stream:
            file = _checked(source, stream, read)
            beyond = file.pixel_offset is None or source.member is not None or source.size - file.pixel_offset > pixels
            if not beyond and not file.kind:
                stream.seek(file.pixel_offset or 0)
                file.kept.append(stream.read())
            return file
    except (TooLarge, NotDicom, NotAnImage, DamagedFile):
        raise
    except Exception as error:  # pydicom raises whatever its parsing stumbles over, an archive whatever packed it
        text = f"{type(error).__name__}: {error}"
        dataset = read[0] if read else None
        raise DamagedFile(f"{source.name}: expected a DICOM header, got a damaged one ({text}).", dataset) from error


def _checked(source: SourceFile, stream: BinaryIO, read: list[Dataset]) -> DicomFile:
    """The header, once it agrees with itself and with the file's length."""
    start = stream.read(WINDOW)
    if not is_dicom(start[:START]):
        raise NotDicom(f"{source.name}: expected a DICOM, NIfTI, NRRD or MetaImage file, got none of them.")
    found = regular_elements(stream, start) or all_elements(source, stream, start[:START], read)
    mosaic = None
    if is_mosaic(found.values):
        stream.seek(0)
        tags: list[Any] = [*MOSAIC_TAGS]
        mosaic = mosaic_of(pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=tags))
    if not found.tag:
        refuse_without_pixels(source.name, found)
    float_pixels = found.tag in PIXEL_TAGS[:2]
    check_description(source.name, found, float_pixels=float_pixels)
    file = DicomFile(
        source, found.dataset, found.values, found.syntax, found.implicit, found.offset, float_pixels, mosaic
    )
    if found.offset is not None and found.head and str(found.syntax) in NATIVE:
        return replace(file, excess=excess_of(file, found.offset, found.head))
    return file
