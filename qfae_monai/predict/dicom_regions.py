"""Anatomic regions by name, as SNOMED CT codes of DICOM's context group 4030 and 4031."""

from __future__ import annotations

__all__ = ["FACELESS", "REGIONS", "UNKNOWN", "check_region"]

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
    """A name of ``REGIONS``; ``UNKNOWN`` where none is given.

    Raises:
        ValueError: when there is no such region.
    """
    name = UNKNOWN if region is None else region.strip().lower()
    if name not in REGIONS:
        raise ValueError(f"expected a region of {sorted(REGIONS)}, got {region!r}.")
    return name
