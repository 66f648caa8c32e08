"""Summary of a series before its pixels are read, and attributes that results may state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.reading.dicom_file import DicomFile, syntax_name
from qfae_monai.reading.left_aside import LeftAside
from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.volume_files import VolumeHeader

__all__ = ["MODALITIES", "Contents", "SeriesSummary", "dicom_attributes", "volume_attributes", "whole_number"]


@dataclass(frozen=True)
class SeriesSummary:
    """A series that was found, from headers alone.

    Attributes:
        kind: "DICOM", "NIfTI", "NRRD", "MetaImage", or "unreadable".
        files: its files.
        uid: SeriesInstanceUID; empty for other formats.
        number: SeriesNumber.
        description: SeriesDescription, or the file's name.
        shape: (X, Y, Z) as it would be read; None where it would be refused.
        affine: (4, 4), index to RAS+ mm; None where it would be refused.
        refusal: why it would be refused; None where the headers are accepted.
        risks: what was allowed.
        attributes: as in `qfae_monai.reading.Series`.
        volume: number from 1 of the chosen volume among several; None where there is one.
        category: what it is if no scan, a name of `qfae_monai.reading.left_aside.INCLUDABLE` that was taken in.
        picture: whether it is one image by itself, such as a radiograph.
    """

    kind: str
    files: tuple[Path, ...]
    uid: str = ""
    number: int | None = None
    description: str = ""
    shape: tuple[int, ...] | None = None
    affine: np.ndarray | None = None
    refusal: str | None = None
    risks: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    volume: int | None = None
    category: str = ""
    picture: bool = False

    def matches(self, series: str | int) -> bool:
        """Whether a UID, number, description or file name names this series."""
        file = self.files[0]
        names = {self.uid, self.description, str(self.number), file.name, str(file)} - {"", "None"}
        return str(series) in names

    def __str__(self) -> str:
        number = "-" if self.number is None else self.number
        return (
            f"number {number}, {self.description or 'no description'!r}, {len(self.files)} files, UID {self.uid or '-'}"
        )


@dataclass(frozen=True)
class Contents:
    """All that a folder, archive or file holds.

    Attributes:
        series: DICOM series and volume files, those that would be refused among them.
        pictures: image files, which models of images take.
        aside: everything else, with its reason.
    """

    series: tuple[SeriesSummary, ...] = ()
    pictures: tuple[Path, ...] = ()
    aside: tuple[LeftAside, ...] = ()


# Attributes of a series beyond its voxels, for manifests, tables and metadata.

# what a header may say of itself in results: anything else may be a person's name
MODALITIES = frozenset(
    {
        "BI",
        "CR",
        "CT",
        "DX",
        "ES",
        "GM",
        "IO",
        "IVOCT",
        "IVUS",
        "MG",
        "MR",
        "NM",
        "OCT",
        "OP",
        "OPT",
        "OT",
        "PT",
        "PX",
        "RF",
        "RG",
        "RTDOSE",
        "RTIMAGE",
        "SC",
        "SEG",
        "SM",
        "TG",
        "US",
        "XA",
        "XC",
    }
)


def whole_number(header: Mapping[str, Any], keyword: str) -> int | None:
    """An element's value; None where it is missing or no single number."""
    try:
        return int(header[keyword])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def dicom_attributes(files: Sequence[DicomFile]) -> dict[str, Any]:
    """Attributes of a DICOM series from its first header; transfer syntaxes and flags are of all files."""
    header = files[0].values

    def text(keyword: str) -> str:
        value = header.get(keyword)
        return "" if value is None else str(value)

    burned = {str(file.values.get("BurnedInAnnotation") or "").upper() for file in files}
    syntaxes = dict.fromkeys(file.syntax for file in files)
    return {
        "kind": "DICOM",
        "modality": text("Modality"),
        "manufacturer": text("Manufacturer"),
        "patient_id": text("PatientID"),
        "study_uid": text("StudyInstanceUID"),
        "series_uid": text("SeriesInstanceUID"),
        "series_number": whole_number(header, "SeriesNumber"),
        "series_description": text("SeriesDescription"),
        "frame_of_reference_uid": text("FrameOfReferenceUID"),
        "sop_class": str(header["SOPClassUID"].name) if header.get("SOPClassUID") else "",
        "transfer_syntax": ", ".join(syntax_name(syntax) for syntax in syntaxes),
        "transfer_syntax_uid": ", ".join(str(syntax) for syntax in syntaxes),
        "photometric_interpretation": text("PhotometricInterpretation"),
        "samples_per_pixel": header["SamplesPerPixel"],
        "bits_allocated": header["BitsAllocated"],
        "bits_stored": header["BitsStored"] if header.get("BitsStored") else header["BitsAllocated"],
        "signed": files[0].float_pixels or bool(header.get("PixelRepresentation")),
        "padding_value": whole_number(header, "PixelPaddingValue"),
        "burned_in_annotation": True if "YES" in burned else False if burned == {"NO"} else None,
        "lossy": any(str(file.values.get("LossyImageCompression")) == "01" for file in files),
    }


def volume_attributes(header: VolumeHeader, source: SourceFile) -> dict[str, Any]:
    return {
        "kind": header.kind,
        "series_description": source.name.name,
        "bits_allocated": header.dtype.itemsize * 8,
        "bits_stored": header.dtype.itemsize * 8,
        "signed": header.dtype.kind in "if",
        "photometric_interpretation": "",
        "modality": "",
        "burned_in_annotation": None,
        "notes": header.notes,
        "volumes": int(np.prod(header.shape[3:])) if len(header.shape) > 3 else 1,
    }
