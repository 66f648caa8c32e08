"""Attributes of a series beyond its voxels, for manifests, tables and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qfae_monai.reading.dicom_file import DicomFile, syntax_name
from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.volume_files import VolumeHeader

__all__ = ["MODALITIES", "dicom_attributes", "volume_attributes", "whole_number"]

# what a header may say of itself in results: anything else may be a person's name
MODALITIES = frozenset({
    "BI", "CR", "CT", "DX", "ES", "GM", "IO", "IVOCT", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT", "PT", "PX",
    "RF", "RG", "RTDOSE", "RTIMAGE", "SC", "SEG", "SM", "TG", "US", "XA", "XC",
})  # fmt: skip


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
