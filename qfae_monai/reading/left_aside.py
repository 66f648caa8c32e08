"""Files, series and folders that are not read, each with its reason: nothing is skipped silently."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "INCLUDABLE",
    "KINDS",
    "PICTURE_MODALITIES",
    "SINGLE_SLICE",
    "LeftAside",
    "by_kind",
    "check_include",
    "counted",
    "counted_kinds",
    "kind_of",
    "lines_of",
]


@dataclass(frozen=True)
class LeftAside:
    """A file, series or folder that is not read.

    Attributes:
        path: of it, or of its first file.
        kind: what it is or lacks, in a few words that others share.
        reason: in one sentence.
        files: how many it stands for.
    """

    path: Path
    kind: str
    reason: str
    files: int = 1


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "scan"), counted(2, "scan")
    ('1 scan', '2 scans')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def lines_of(aside: Iterable[LeftAside]) -> list[str]:
    """One line for each kind: how many files, and the reason."""
    lines = []
    for (kind, reason), several in by_kind(aside).items():
        count = sum(one.files for one in several)
        lines.append(f"left aside: {kind}, {counted(count, 'file')}: {reason}")
    return lines


def counted_kinds(aside: Iterable[LeftAside]) -> list[dict[str, str | int]]:
    """Kinds with their reasons and numbers of files, without names."""
    return [
        {"kind": kind, "reason": reason, "files": sum(one.files for one in several)}
        for (kind, reason), several in by_kind(aside).items()
    ]


def by_kind(aside: Iterable[LeftAside]) -> dict[tuple[str, str], list[LeftAside]]:
    """Kind and reason, in order, with what they stand for."""
    kinds: dict[tuple[str, str], list[LeftAside]] = {}
    for one in aside:
        kinds.setdefault((one.kind, one.reason), []).append(one)
    return dict(sorted(kinds.items()))


# Kinds of DICOM objects: what is a scan, what is left aside of a folder, and what `include` may take in.

OWN_NAME = "QFAE for MONAI"  # ManufacturerModelName of objects that this software writes
CLASS = "1.2.840.10008.5.1.4.1.1."

INCLUDABLE = {
    "localiser": "localiser or scout, which says so in its ImageType",
    "secondary-capture": "secondary capture: a picture of a screen or a page",
    "segmentation": "segmentation: a mask, no scan",
    "parametric-map": "parametric map: a result, no scan",
    "dose": "radiotherapy dose: no scan",
    "own-result": "result of this software",
}
"""Kinds with pixels by name, and why they are left aside; `include` takes them in."""

SINGLE_SLICE = "single-slice"
KINDS = {
    **INCLUDABLE,
    SINGLE_SLICE: "one slice alone is no volume",
    "report": "structured report, without pixels",
    "key-object": "key object selection, without pixels",
    "presentation-state": "presentation state, without pixels",
    "raw-data": "raw data of a scanner, without pixels",
    "registration": "registration, without pixels",
    "radiotherapy": "structure set, plan or record of radiotherapy, without pixels",
    "document": "document, without pixels",
    "waveform": "waveform or spectrum, without pixels",
    "dicomdir": "DICOMDIR, the table of contents of a medium",
}
"""All kinds of DICOM objects that are no scans."""

# prefixes of SOP classes behind CLASS, longest first where one begins another
CLASSES = {
    "66.1": "registration",
    "66.2": "registration",
    "66.3": "registration",
    "66.4": "segmentation",
    "66.5": "segmentation",
    "66.6": "segmentation",
    "66.7": "segmentation",
    "66.8": "segmentation",
    "66": "raw-data",
    "30": "parametric-map",
    "88.59": "key-object",
    "88": "report",
    "11": "presentation-state",
    "104": "document",
    "7": "secondary-capture",
    "481.2": "dose",
    "481.1": "",
    "481": "radiotherapy",
    "9": "waveform",
    "4.2": "waveform",
}
MODALITIES = {
    "SEG": "segmentation",
    "RTDOSE": "dose",
    "RTSTRUCT": "radiotherapy",
    "RTPLAN": "radiotherapy",
    "RTRECORD": "radiotherapy",
    "SR": "report",
    "PR": "presentation-state",
    "KO": "key-object",
    "REG": "registration",
    "FID": "registration",
    "DOC": "document",
    "AU": "waveform",
    "ECG": "waveform",
    "HD": "waveform",
}
PICTURE_MODALITIES = frozenset({"CR", "DX", "MG", "IO", "PX", "RG", "OP", "XC", "ES", "GM", "RTIMAGE"})
"""Whose single frames are images of their own, such as radiographs and photographs."""


def kind_of(header: Mapping[str, Any]) -> str:
    """Kind of what is no scan, by its SOP class, else its modality and image type; empty for a scan."""
    if "DirectoryRecordSequence" in header:
        return "dicomdir"
    if OWN_NAME in (str(header.get("Manufacturer")), str(header.get("ManufacturerModelName"))):
        return "own-result"
    behind = str(header.get("SOPClassUID") or "").removeprefix(CLASS)
    by_class = next((kind for start, kind in CLASSES.items() if behind == start or behind.startswith(f"{start}.")), "")
    by_modality = MODALITIES.get(str(header.get("Modality") or "").upper(), "")
    if found := by_class or by_modality:
        return found
    words = header.get("ImageType") or ()
    words = [words] if isinstance(words, str) else words
    # scouts of CT are LOCALIZER by the standard, SCOUT or TOPOGRAM in older files
    scout = {"LOCALIZER", "SCOUT", "TOPOGRAM"} & {str(word).strip().upper() for word in words}
    return "localiser" if scout else ""


def check_include(include: Collection[str]) -> frozenset[str]:
    """The names as a set.

    Raises:
        ValueError: when a name is none of `INCLUDABLE`.
    """
    names = frozenset([include] if isinstance(include, str) else include)
    if unknown := sorted(names - set(INCLUDABLE)):
        raise ValueError(f"expected in include the kinds {', '.join(INCLUDABLE)}, got {', '.join(unknown)}")
    return names
