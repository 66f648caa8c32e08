"""Near-duplicates between the sections of a data set: counted, named, and the sentences on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.utils import ensure_tuple

from qfae_monai.data.acquisition import SECTIONS
from qfae_monai.data.image_folder import image_folder_datalist
from qfae_monai.data.near_duplicates import Pair, clusters, near_duplicates
from qfae_monai.data.scan_picture import Picture
from qfae_monai.data.volumes import filled_sections, told_entries
from qfae_monai.reading.left_aside import counted

__all__ = [
    "CROSSINGS",
    "Pictured",
    "across_sections",
    "joined_patients",
    "named",
    "pictured",
    "section_entries",
    "sentences",
]

CROSSINGS = (("test", "training"), ("test", "validation"), ("validation", "training"))
"""Sections whose near-duplicates matter: what is tested or sets thresholds, and what it must not have been seen in."""
SHOWN = 3  # pairs that a sentence names
FOLDERS = {"training": "train", "validation": "valid", "test": "test"}


@dataclass(frozen=True)
class Pictured:
    """A scan as far as near-duplicates are concerned.

    Attributes:
        name: file name, or place below a folder, for the screen.
        case: that outputs may name.
        patient: whose it is, as far as is known.
        section: training, validation or test; another or none where data have no sections.
        picture: None where the scan cannot be read.
    """

    name: str
    case: str
    patient: str
    section: str
    picture: Picture | None


def section_entries(datalist: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Section, patient and entry of each scan of a data list, or of a folder in BMAD's layout, if there is one."""
    if not datalist.exists():  # a configuration may have data sets of its own
        return []
    if not datalist.is_dir():
        filled = [section for section in SECTIONS if section in filled_sections(datalist)]
        return [(section, told.patient, entry) for section, entry, told in told_entries(datalist, filled)]
    found = []
    for section in SECTIONS:
        try:
            entries = image_folder_datalist(datalist, FOLDERS[section])
        except FileNotFoundError:  # there need be no such folder; whoever reads it says so
            continue
        # a name may be in two splits: what tells patients apart there is the path
        found += [(section, entry["image"], entry) for entry in entries]
    return found


def pictured(listed: tuple[str, str, dict[str, Any]], picture: Picture | None, folder: Path) -> Pictured:
    """A scan as `section_entries` gives it, with its picture, named by its place below a folder if it lies there."""
    section, patient, entry = listed
    path = Path(ensure_tuple(entry["image"])[0])
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    return Pictured(name, str(entry["case"]), patient, section, picture)


def across_sections(scans: Sequence[Pictured]) -> list[Pair]:
    """Near-duplicates of different patients in different sections."""
    return near_duplicates(
        [scan.picture for scan in scans],
        different=[[scan.patient for scan in scans], [scan.section for scan in scans]],
    )


def joined_patients(patients: Sequence[str], pictures: Sequence[Picture | None]) -> tuple[list[str], str]:
    """Patient of each scan, where patients whose scans are near-duplicates have the name of the first; and a sentence.

    Args:
        patients: of the scans.
        pictures: of the scans.
    """
    names = sorted(set(patients))
    place = {patient: number for number, patient in enumerate(names)}
    own = [place[patient] for patient in patients]
    pairs = near_duplicates(pictures, different=[own])
    joined = clusters(
        len(names), [Pair(own[pair.first], own[pair.second], pair.correlation) for pair in pairs]
    ).tolist()
    first: dict[int, str] = {}
    for patient, cluster in zip(names, joined, strict=True):
        first.setdefault(cluster, patient)  # the same on every machine
    several = [size for size in Counter(joined).values() if size > 1]
    sentence = "no near-duplicates of different patients, which would be kept together"
    if several:
        sentence = (
            f"{counted(len(pairs), 'pair')} of near-duplicates of different patients: {sum(several)} of "
            f"{counted(len(names), 'patient')} are split as {counted(len(several), 'patient')}"
        )
    return [first[joined[number]] for number in own], sentence


def sentences(scans: Sequence[Pictured], pairs: Sequence[Pair], *, names: bool = True) -> list[str]:
    """A sentence for each two sections that share near-duplicates.

    Args:
        scans: all of them.
        pairs: of scans of different patients.
        names: whether the first few pairs are named, which is for the screen alone.

    Example:
        >>> scans = [Pictured(f"{n}.png", n, n, s, None) for n, s in (("a", "training"), ("b", "test"), ("c", "test"))]
        >>> sentences(scans, [Pair(0, 1, 0.984)])
        ['1 of 2 test scans is a near-duplicate (correlation 0.98) of training scans of other patients: b.png ~ a.png']
    """
    found = []
    for section, other in CROSSINGS:
        crossing = sorted(
            (pair if scans[pair.first].section == section else Pair(pair.second, pair.first, pair.correlation))
            for pair in pairs
            if {scans[pair.first].section, scans[pair.second].section} == {section, other}
        )
        if crossing:
            count = len({pair.first for pair in crossing})
            total = counted(sum(scan.section == section for scan in scans), f"{section} scan")
            are = "is a near-duplicate" if count == 1 else "are near-duplicates"
            told = f": {named(scans, crossing)}" if names else ""
            found.append(f"{count} of {total} {are} ({_range(crossing)}) of {other} scans of other patients{told}")
    return found


def named(scans: Sequence[Pictured], pairs: Sequence[Pair]) -> str:
    """The first few pairs by their file names, and how many more there are."""
    shown = ", ".join(f"{scans[pair.first].name} ~ {scans[pair.second].name}" for pair in pairs[:SHOWN])
    return shown + (f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else "")


def _range(pairs: Sequence[Pair]) -> str:
    low, high = (f"{limit(pair.correlation for pair in pairs):.2f}" for limit in (min, max))
    return f"correlation {low}" + ("" if low == high else f" to {high}")
