"""Identity of the model in each DICOM result: name, version, weights, notice; regions of the body, and new UIDs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydicom.uid import generate_uid

from qfae_monai import __version__

__all__ = [
    "CONTENT_LABEL",
    "FACELESS",
    "NOTICE",
    "REGIONS",
    "UNKNOWN",
    "ModelIdentity",
    "check_region",
    "import_highdicom",
    "new_uid",
]

# Anatomic regions by name, as SNOMED CT codes of DICOM's context group 4030 and 4031.

UNKNOWN = "entire body"  # what is said where nobody said which region it is
REGIONS = {
    UNKNOWN: ("38266002", "Entire body"),
    "abdomen": ("818981001", "Abdomen"),
    "brain": ("12738006", "Brain"),
    "breast": ("76752008", "Breast"),
    "chest": ("816094009", "Chest"),
    "head": ("69536005", "Head"),
    "heart": ("80891009", "Heart"),
    "hip": ("24136001", "Hip joint"),
    "kidney": ("64033007", "Kidney"),
    "knee": ("72696002", "Knee"),
    "liver": ("10200004", "Liver"),
    "neck": ("45048000", "Neck"),
    "pelvis": ("816092008", "Pelvis"),
    "prostate": ("41216001", "Prostate"),
    "spine": ("421060004", "Spine"),
}
"""Name -> value and meaning of the code, scheme SCT."""

FACELESS = frozenset(REGIONS) - {UNKNOWN, "brain", "head", "neck", "spine"}
"""Regions whose scans hold no face."""


def check_region(region: str | None) -> str:
    """A name of `REGIONS`; `UNKNOWN` where none is given.

    Raises:
        ValueError: when there is no such region.
    """
    name = UNKNOWN if region is None else region.strip().lower()
    if name not in REGIONS:
        raise ValueError(f"expected a region of {sorted(REGIONS)}, got {region!r}")
    return name


# UIDs of new objects.


def new_uid() -> str:
    """A random UID under 2.25: it says nothing of place or time, and no two results share one."""
    return str(generate_uid(prefix=None))


NOTICE = "Research use, not for diagnosis"
CONTENT_LABEL = "RESEARCH_USE"  # a code string: at most 16 capitals, digits and underscores


@dataclass(frozen=True)
class ModelIdentity:
    """The model behind a result.

    Attributes:
        checkpoint_sha256: SHA-256 of the checkpoint's file, 64 hexadecimal digits.
        name: of the algorithm, at most 64 characters.
        version: of the software.
    """

    checkpoint_sha256: str
    name: str = "QFAE for MONAI"
    version: str = __version__

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.checkpoint_sha256):
            raise ValueError(f"expected checkpoint_sha256 of 64 hexadecimal digits, got {self.checkpoint_sha256!r}")
        for word in (self.name, self.version):
            if not 0 < len(word) <= 64 or "\\" in word:
                raise ValueError(f"expected a name and version of 1 to 64 characters without backslash, got {word!r}")

    @property
    def equipment(self) -> dict[str, str]:
        """Arguments that every object of highdicom takes: the software stands where a scanner's names would."""
        return {
            "manufacturer": self.name,
            "manufacturer_model_name": self.name,
            "software_versions": self.version,
            "device_serial_number": self.checkpoint_sha256,  # tells two models of one software apart
        }

    def derivation(self, what: str) -> str:
        """One sentence on how `what` came about, for DerivationDescription."""
        return f"{what} by {self.name} {self.version}, checkpoint SHA-256 {self.checkpoint_sha256}. {NOTICE}."


def import_highdicom() -> Any:
    """The library that writes the objects.

    Raises:
        ValueError: when it is not installed.
    """
    try:
        import highdicom  # noqa: PLC0415  (an optional dependency)
    except ImportError as error:
        raise ValueError(
            "expected highdicom to write DICOM objects, got none installed: pip install highdicom adds it"
        ) from error
    return highdicom
