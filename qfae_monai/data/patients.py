"""Patient of each scan, from its name, header, folder or list: by one rule for all scans of a folder."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, ClassVar, Protocol, TypeVar

from qfae_monai.reading.left_aside import LeftAside, counted

__all__ = [
    "BY_HEADER",
    "BY_LIST",
    "BY_NAME",
    "NamedScan",
    "Owned",
    "sequence_of",
    "tell_patients",
    "told_apart",
    "warnings_on",
]

MANY = 4  # scans that one patient has at least, before it is asked whether they are of several
EACH = 8  # scans that patients told by folders have on average, before it is asked whether folders are sites
MOST = 0.5  # of all scans: more of one patient are a folder's or an archive's rather than a person's

BIDS = re.compile(r"(?:^|/)(sub-[A-Za-z0-9+]+)(?=[_/.]|$)")
BIDS_ENTITY = re.compile(r"(sub|ses|run|rec)-[A-Za-z0-9+]+")
NNUNET = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
GROUP = re.compile(
    r"train(ing)?|test(ing)?|val(id(ation)?)?|normals?|healthy|controls?|abnormals?|good|ungood|images?(tr|ts|val)?|img|"
    r"scans?|volumes?|data|raw|nifti|dicom",
    re.IGNORECASE,
)
"""Folders that hold scans of many patients."""
NNUNET_FOLDER = re.compile(r"images(tr|ts|val)", re.IGNORECASE)

BY_PATTERN = "the pattern of --patient"
BY_LIST = "`patient` in the data list"
BY_BIDS = "sub- of BIDS names"
BY_HEADER = "PatientID in DICOM headers"
BY_NNUNET = "case names as nnU-Net has them"
BY_FOLDER = "folder"
BY_NAME = "file name (each scan a patient of its own)"


class Owned(Protocol):
    """Any dataclass that describes a scan, with the attributes that identify its patient; those of `NamedScan`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def path(self) -> Path: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def patient(self) -> str: ...
    @property
    def told_by(self) -> str: ...


@dataclass(frozen=True)
class NamedScan:
    """A scan, as far as its owner is told by it.

    Attributes:
        path: file, or folder of DICOM files.
        kind: `volume` or `image`.
        name: path below what the user pointed at, without suffix.
        patient: as far as a list or header told it.
        told_by: how, in words.
    """

    path: Path
    kind: str
    name: str
    patient: str = ""
    told_by: str = ""


Scan = TypeVar("Scan", bound=Owned)


def tell_patients(
    scans: Sequence[Scan],
    *,
    pattern: str | None = None,
    side: str = "",
    folders: bool = True,
    like: Sequence[Owned] | None = None,
) -> tuple[list[Scan], list[LeftAside]]:
    """The same scans with their patients.

    A pattern of the user's decides; else `patient` of a data list, then `sub-` of BIDS names, then DICOM's PatientID,
    then nnU-Net's case, then the folder, then the file. What is sure of the whole set (the first four) names the same
    patient in two folders; folder and file names do not: `001` of the normal and of the abnormal scans are two.

    Args:
        scans: `patient` and `told_by` as far as a list or header told them.
        pattern: regular expression searched for in a file's name, then in its path below the folder; its first group
            (or all of it) names the patient.
        side: put before names of folders and files.
        folders: whether a folder may stand for a patient; not in data lists, whose folders are for kinds of files.
        like: scans whose layout decides, where these are their masks; None for the scans' own.

    Returns:
        The scans, and those that the pattern does not fit.

    Raises:
        ValueError: if the pattern is none, or fits no scan.
    """
    if pattern is not None:
        return _by_pattern(scans, pattern)
    layout = scans if like is None else like
    channels = _is_nnunet(layout)
    level = _folder_level(layout) if folders else None
    return [_told(scan, channels, level, side) for scan in scans], []


def told_apart(scans: Sequence[Owned]) -> str:
    """Sentence on the rule that told patients apart, with counts."""
    count = Counter(scan.told_by for scan in scans)
    patients = {how: len({scan.patient for scan in scans if scan.told_by == how}) for how in count}
    parts = [f"{how} ({counted(patients[how], 'patient')}, {counted(count[how], 'scan')})" for how in sorted(count)]
    hint = ""
    if {BY_FOLDER, BY_NAME} & set(count):
        hint = "; where a patient has scans under several names, give --patient PATTERN"
    return f"patients told apart by {', '.join(parts)}{hint}"


def warnings_on(scans: Sequence[Owned]) -> list[str]:
    """Warnings that patients may be told apart wrongly: one has most of a set, or folders hold many scans."""
    told = [scan for scan in scans if scan.told_by in (BY_FOLDER, BY_HEADER, BY_NNUNET)]
    counts = Counter((scan.told_by, scan.patient) for scan in told)
    found = [
        f"one patient, told by {how}, has {count} of {counted(len(scans), 'scan')}: where these are of several people, "
        "give --patient PATTERN"
        for (how, _), count in counts.most_common(1)
        if count >= MANY and count > MOST * len(scans)
    ]
    by_folder = [count for (how, _), count in counts.items() if how == BY_FOLDER]
    if not found and by_folder and sum(by_folder) >= EACH * len(by_folder):
        mean = sum(by_folder) / len(by_folder)
        found.append(
            f"{counted(len(by_folder), 'patient')}, told by {BY_FOLDER}, have {mean:.3g} scans each on average: where "
            "folders are of sites or groups, give --patient PATTERN"
        )
    return found


def sequence_of(scan: Owned) -> str:
    """File name without patient, visit and numbers: `T1w` of `sub-01_ses-2_run-1_T1w`.

    >>> from pathlib import Path
    >>> file = Path("sub-01_ses-2_T1w.nii.gz")
    >>> sequence_of(NamedScan(file, "volume", "sub-01_ses-2_T1w", patient="sub-01"))
    'T1w'
    """
    stem = PurePath(scan.name).name
    channel = NNUNET.fullmatch(stem)
    if scan.told_by == BY_NNUNET and channel:
        return f"_{channel['channel']}"
    words = re.split(r"[_\-. ]+", BIDS_ENTITY.sub("", stem))
    own = set(re.split(r"[_\-. ]+", scan.patient))
    return "_".join(word for word in words if word and not word.isdecimal() and word not in own)


def _by_pattern(scans: Sequence[Scan], pattern: str) -> tuple[list[Scan], list[LeftAside]]:
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--patient: expected a regular expression, got {pattern!r} ({error})") from None
    told, others = [], []
    for scan in scans:
        names = (scan.path.name, f"{scan.name}{scan.path.suffix}", scan.path.as_posix())
        hit = next((hit for name in names if (hit := wanted.search(name))), None)
        found = "" if hit is None else hit[1] if wanted.groups else hit[0]
        if found:
            told.append(replace(scan, patient=found, told_by=BY_PATTERN))
        else:
            reason = f"{scan.path}: expected the pattern {pattern!r} in its name or path, got none"
            others.append(LeftAside(scan.path, "patient not told", reason))
    if scans and not told:
        raise ValueError(f"--patient: {others[0].reason}; it fits none of {len(scans)} scans")
    return told, others


def _told(scan: Scan, channels: bool, level: int | None, side: str) -> Scan:
    if scan.told_by == BY_LIST:
        return scan
    parts, stem = PurePath(scan.name).parts, PurePath(scan.name).name
    subject = BIDS.search(scan.name)
    channel = NNUNET.fullmatch(stem) if channels else None
    if subject:
        patient, how = subject[1], BY_BIDS
    elif scan.patient:
        patient, how = scan.patient, scan.told_by
    elif channels:
        patient, how = channel["case"] if channel else stem, BY_NNUNET  # masks are called as the case alone
    elif level is not None and level < len(parts) - 1:
        patient, how = f"{side}{'/'.join(parts[: level + 1])}", BY_FOLDER
    else:
        patient, how = f"{side}{scan.name}", BY_NAME
    return replace(scan, patient=patient, told_by=how)


def _is_nnunet(scans: Sequence[Owned]) -> bool:
    """Whether a number of four digits at the end is a channel: in nnU-Net's folders, or where every case has a 0000."""
    names = [PurePath(scan.name) for scan in scans if scan.kind == "volume"]
    hits = [NNUNET.fullmatch(name.name) for name in names]
    if not hits or not all(hits):
        return False
    if all(NNUNET_FOLDER.fullmatch(name.parent.name) for name in names):
        return True
    channels: dict[str, set[str]] = defaultdict(set)
    for hit in hits:
        assert hit is not None
        channels[hit["case"]].add(hit["channel"])
    return len(channels) > 1 and all("0000" in seen for seen in channels.values())


def _folder_level(scans: Sequence[Owned]) -> int | None:
    """Depth, from 0, of the first folders that there are several of, splits and the like aside; None without such."""
    folders = [PurePath(scan.name).parts[:-1] for scan in scans]
    for level in range(max((len(parts) for parts in folders), default=0)):
        names = {parts[level] for parts in folders if len(parts) > level}
        if len(names) > 1 and not all(GROUP.fullmatch(name) for name in names):
            return level
    return None
