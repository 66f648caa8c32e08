"""Patient and study of a result, the source's own or pseudonyms alone; and the source's lossy compression."""

from __future__ import annotations

import math
from datetime import date, time
from typing import Any

from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM, format_number_as_ds, validate_value

from qfae_monai.privacy.pseudonyms import Pseudonyms

__all__ = ["METHOD", "identity_of", "is_anonymous", "lossy_compression", "pseudonymous_identity", "without_dates"]

REQUIRED = """
    PatientName PatientID PatientBirthDate PatientSex
    StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName
""".split()  # noqa: SIM905  (present in each object, empty where not known)
OPTIONAL = "IssuerOfPatientID PatientAge StudyDescription PatientIdentityRemoved DeidentificationMethod".split()  # noqa: SIM905
METHOD = [  # each of at most 64 characters
    "QFAE for MONAI: nothing of the source's header but geometry kept",
    "UIDs and patient ID replaced by HMAC-SHA256 with a secret key",
    "Pixels not altered: faces and burned-in text not removed",
]
NO_DATE, NO_TIME = DA(date(1900, 1, 1)), TM(time(0, 0, 0))  # where the standard insists on one


def identity_of(header: Dataset) -> Dataset:
    """Patient and study of a source's header, in UTF-8; values that the standard does not allow become empty."""
    identity = _empty(str(header.StudyInstanceUID))
    for keyword in REQUIRED + OPTIONAL:
        value = _valid(keyword, header.get(keyword))
        if value or keyword in REQUIRED:
            setattr(identity, keyword, value)
    return identity


def pseudonymous_identity(header: Dataset, names: Pseudonyms) -> Dataset:
    """A pseudonym for the patient, one for the study, and how they came about; all else is empty."""
    patient = str(header.get("PatientID") or header.StudyInstanceUID)
    identity = _empty(names.uid(str(header.StudyInstanceUID)))
    identity.PatientID = names.patient(patient)
    identity.PatientName = f"{identity.PatientID}^"
    identity.PatientIdentityRemoved = "YES"
    identity.DeidentificationMethod = METHOD
    return identity


def is_anonymous(identity: Dataset) -> bool:
    """Whether `pseudonymous_identity` made it."""
    return list(identity.get("DeidentificationMethod") or []) == METHOD


def without_dates(dataset: Dataset) -> None:
    """Take the time of writing out of an anonymous object: with a log of runs it would name the study."""
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"):
        if keyword in dataset:
            delattr(dataset, keyword)
    for equipment in dataset.get("ContributingEquipmentSequence") or []:
        equipment.pop("ContributionDateTime", None)
    dataset.ContentDate, dataset.ContentTime = NO_DATE, NO_TIME
    dataset.LongitudinalTemporalInformationModified = "REMOVED"


def _empty(study_uid: str) -> Dataset:
    identity = Dataset()
    identity.SpecificCharacterSet = "ISO_IR 192"
    identity.StudyInstanceUID = study_uid
    for keyword in REQUIRED:
        setattr(identity, keyword, "")
    return identity


def _valid(keyword: str, value: Any) -> Any:
    """The value as text, or empty where a program that reads the object would stumble over it."""
    if value is None:
        return ""
    if keyword == "DeidentificationMethod":
        words = [str(word)[:64].strip() for word in ([value] if isinstance(value, str) else value)]
        return [word for word in words if _is_valid("LO", word)]
    text = str(value).strip()
    if keyword in ("PatientSex", "PatientIdentityRemoved"):
        return text if text in ("M", "F", "O", "YES", "NO") else ""
    return text if _is_valid(dictionary_VR(keyword), text) else ""


def _is_valid(vr: str, text: str) -> bool:
    """Whether the standard allows a value: its length, its letters, a date that is one; an empty one is no value."""
    try:
        validate_value(vr, text, RAISE)
        if vr in ("DA", "TM"):
            (DA if vr == "DA" else TM)(text)
    except ValueError:
        return False
    return bool(text) and "\\" not in text


# Lossy compression of a source, in DICOM's own terms.

METHODS = """
    ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_15444_15 ISO_18181_1 ISO_13818_2 ISO_14496_10 ISO_23008_2
""".split()  # noqa: SIM905  (DICOM PS3.3, C.7.6.1.1.5.1)


def lossy_compression(header: Dataset) -> Dataset:
    """LossyImageCompression, its ratios and methods, as far as they are values that the standard knows.

    Anything else that stands there could be anybody's words, and goes into no result, be it anonymous or not.

    >>> header = Dataset()
    >>> header.LossyImageCompression, header.LossyImageCompressionRatio = "01", "12.345678"
    >>> header.LossyImageCompressionMethod = "JANE_DOE"
    >>> [str(element.value) for element in lossy_compression(header)]
    ['01', '12.3']
    """
    lossy = Dataset()
    if str(header.get("LossyImageCompression")) not in ("00", "01"):
        return lossy
    lossy.LossyImageCompression = str(header.LossyImageCompression)
    ratios = [_ratio(value) for value in _values(header, "LossyImageCompressionRatio")]
    methods = [str(value) for value in _values(header, "LossyImageCompressionMethod")]
    if ratios and all(ratio is not None for ratio in ratios):
        lossy.LossyImageCompressionRatio = [format_number_as_ds(ratio) for ratio in ratios if ratio is not None]
    if methods and all(method in METHODS for method in methods):
        lossy.LossyImageCompressionMethod = methods
    return lossy


def _values(header: Dataset, keyword: str) -> list[Any]:
    value = header.get(keyword)
    return list(value) if isinstance(value, list | MultiValue) else [] if value in (None, "") else [value]


def _ratio(value: Any) -> float | None:
    """Three digits of it, which tell how much was lost and nothing else; None where it is no ratio."""
    try:
        ratio = float(value)
    except (TypeError, ValueError):
        return None
    return float(f"{ratio:.3g}") if math.isfinite(ratio) and 0 < ratio < 1e6 else None
