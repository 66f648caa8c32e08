"""Near-duplicates among the scans of a folder or data list, and splits that keep them together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from qfae_monai.data.near_duplicates import Pair, clusters, near_duplicates
from qfae_monai.data.patients import tell_patients
from qfae_monai.data.scan_picture import Picture, picture_of_entry
from qfae_monai.data.split_duplicates import Pictured, joined_patients, named, sentences
from qfae_monai.model.finding import BIDS, FOLDER, find_scans
from qfae_monai.model.scan import Found, LeftAside, Scan, counted
from qfae_monai.reading.volume_choice import Choice

__all__ = ["DuplicateFindings", "find_duplicates", "grouped"]

COLUMNS = ("scan", "section", "near_duplicate", "its_section", "same_patient", "cluster", "correlation")


@dataclass(frozen=True)
class DuplicateFindings:
    """Near-duplicates among scans.

    Attributes:
        scans: all that were looked for; without a picture where they cannot be read.
        pairs: of different patients.
        within: pairs of one patient.
        left_aside: what was not looked at, with reasons.
    """

    scans: tuple[Pictured, ...]
    pairs: tuple[Pair, ...]
    within: tuple[Pair, ...]
    left_aside: tuple[LeftAside, ...] = ()

    @cached_property
    def clusters(self) -> list[int]:
        """Number of the cluster of each scan."""
        return clusters(len(self.scans), [*self.pairs, *self.within]).tolist()

    def sentences(self) -> list[str]:
        """What was found, for the screen; first what crosses sections."""
        unread = sum(scan.picture is None for scan in self.scans)
        found = sentences(self.scans, self.pairs)
        if self.pairs:
            joined = clusters(len(self.scans), self.pairs)
            count = len({int(joined[pair.first]) for pair in self.pairs})
            found.append(
                f"{counted(len(self.pairs), 'pair')} of near-duplicates of different patients in "
                f"{counted(count, 'cluster')}: {named(self.scans, self.pairs)}"
            )
        else:
            found.append(f"no near-duplicates of different patients among {counted(len(self.scans), 'scan')}")
        if self.within:
            found.append(f"{counted(len(self.within), 'pair')} of near-duplicates of one patient")
        if unread:
            found.append(f"{counted(unread, 'scan')} refused by the reader, and not looked at")
        kinds: dict[str, list[LeftAside]] = {}
        for one in self.left_aside:
            kinds.setdefault(one.kind, []).append(one)
        for kind, ones in kinds.items():
            files = sum(one.files for one in ones)
            found.append(f"{counted(files, 'file')} left aside, and not looked at: {kind}, such as {ones[0].path}")
        return found

    def table(self) -> tuple[tuple[str, ...], Iterator[tuple[object, ...]]]:
        """Header, and a row for each pair."""
        rows = (
            (
                *(field for number in pair[:2] for field in (self.scans[number].name, self.scans[number].section)),
                same,
                self.clusters[pair.first],
                f"{pair.correlation:.4f}",
            )
            for same, pairs in (("no", self.pairs), ("yes", self.within))
            for pair in pairs
        )
        return COLUMNS, rows


def find_duplicates(
    path: Path,
    *,
    volume: Choice = None,
    allow: Collection[str] = (),
    include: Collection[str] = (),
    patient: str | None = None,
) -> DuplicateFindings:
    """Read every scan of a folder, data list or prepared folder, and find near-duplicates.

    Args:
        path, volume, allow, include: as in `qfae_monai.model.finding.find_scans`.
        patient: regular expression that tells the patient from a file's name or path.

    Raises:
        FileNotFoundError: if there is no such path, or no file in it.
        ValueError: if it is none of these, or there is no scan in it.
    """
    found, aside, layout = find_scans(path, volume=volume, allow=allow, include=include)
    if not found:
        raise ValueError(f"{path}: expected scans, got none among {counted(len(aside), 'thing')} that are left aside")
    told, _ = tell_patients(found, pattern=patient, folders=layout in (FOLDER, BIDS))
    scans = tuple(
        Pictured(f"{scan.name}{_which(scan)}", scan.name, scan.patient, scan.section or "", _picture(scan))
        for scan in told
    )
    pictures, patients = [scan.picture for scan in scans], [scan.patient for scan in scans]
    pairs = near_duplicates(pictures, different=[patients])
    return DuplicateFindings(scans, tuple(pairs), tuple(near_duplicates(pictures, equal=[patients])), tuple(aside))


def grouped(found: Found) -> tuple[Found, str]:
    """Scans of which near-duplicates are of one patient, so that a split keeps them together; and a sentence on them.

    Raises:
        ValueError: if the data have sections of their own, which no split changes.
    """
    if any(scan.section is not None for scan in found.scans):
        raise ValueError(
            f"--group-duplicates: expected scans that are to be split, got a {found.layout} with sections of its own: "
            "`qfae check --duplicates` names what is to be moved there"
        )
    owners, sentence = joined_patients([scan.patient for scan in found.scans], [_picture(scan) for scan in found.scans])
    scans = tuple(replace(scan, patient=owner) for scan, owner in zip(found.scans, owners, strict=True))
    return replace(found, scans=scans), sentence


def _picture(scan: Scan) -> Picture | None:
    files = [str(scan.path)] if not scan.path.is_file() else [str(file) for file in scan.files]
    return picture_of_entry({"image": files, "volume": scan.volume, "include": scan.include})


def _which(scan: Scan) -> str:
    return "".join(scan.path.suffixes[-2:] if scan.path.name.endswith(".gz") else scan.path.suffixes[-1:]) + (
        "" if scan.volume is None else f" volume {scan.volume}"
    )
