"""Look at what is to be trained on: every scan found, told whose it is, read once and taken or left aside."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from qfae_monai.data.columns import CLASS
from qfae_monai.data.patients import sequence_of, tell_patients, told_apart
from qfae_monai.files.tables import printable
from qfae_monai.model.features import look_at
from qfae_monai.model.finding import BIDS, FOLDER, LIST, PREPARED, find_scans
from qfae_monai.model.masks import pair_masks
from qfae_monai.model.scan import Features, Found, LeftAside, Scan, counted
from qfae_monai.reading.left_aside import check_include
from qfae_monai.reading.volume_choice import Choice, check_volume

__all__ = ["Features", "Found", "LeftAside", "Scan", "look"]

FEW = 0.1  # share of scans of another modality that are left aside instead of refused
SHOWN = 6
CT = "CT"  # which values tell, too
VOLUME_DIGITS = 6
RADIOGRAPHS = frozenset({"CR", "DX", "RG"})  # one kind of image, by the age of the machine
Progress = Callable[[int, int], None]


def look(
    scans: Path,
    *,
    abnormal: Path | None = None,
    masks: Path | None = None,
    patient: str | None = None,
    image: str | None = None,
    volume: Choice = None,
    include: Collection[str] = (),
    allow: Collection[str] = (),
    kind: str | None = None,
    progress: Progress | None = None,
) -> Found:
    """Find the scans to train on. Every scan is read, as training will read it; nothing is written.

    Args:
        scans: folder of normal scans, data list, prepared folder (BMAD's layout) or BIDS data set.
        abnormal: folder of abnormal scans, for the test.
        masks: folder of masks, of the abnormal scans where there is such a folder, else of `scans`.
        patient: regular expression that tells the patient from a file's name or path.
        image: shell pattern of scans where several kinds lie together: of a file's name, or of a DICOM series'
            description or folder.
        volume: of series that have several, as in `qfae_monai.reading.read_series`; `all` makes a scan of each, and all
            of them are of one patient and visit.
        include: kinds that are no scans, and are wanted all the same.
        allow: risks that the reader may let pass.
        kind: `volume` or `image`, to keep where both lie together; None keeps volumes.
        progress: called with how many scans were read, of how many.

    Raises:
        FileNotFoundError: if a path is missing or holds nothing.
        ValueError: if nothing is left to train on, kinds of scans are mixed, masks fit no scan, or of the labelled
            scans none can be read.
    """
    skip = [folder for folder in (abnormal, masks) if folder is not None]
    how: dict[str, Any] = {"image": image, "volume": check_volume(volume), "allow": allow}
    how["include"] = check_include(include)
    found, aside, layout = find_scans(scans, skip=skip, **how)
    told, others = tell_patients(found, pattern=patient, folders=layout in (FOLDER, BIDS))
    aside += others
    if abnormal is not None:
        ill, others = _abnormal(abnormal, patient, how, [] if masks is None else [masks])
        aside += others
        own = layout in (LIST, PREPARED)  # it has sections of its own, and these scans need one
        ill = [replace(scan, section="test" if own else None) for scan in ill]
        told = [*told, *(ill if masks is None else pair_masks(ill, masks, aside))]
    elif masks is not None:
        told = pair_masks(told, masks, aside)
    told, others = _one_kind(told, kind)
    aside += others
    if image is None and layout in (FOLDER, BIDS):
        _check_sequences(scans, told)
    read, others = _read(told, allow, progress)
    aside += others
    _check_labelled(told, read, others)
    read, others = _trainable(read)
    aside += others
    if not read:
        raise ValueError(_nothing(scans, aside))
    kept, others = _one_modality(scans, read)
    single, more = _once(kept)
    # zeros in front: volume 10 comes after 2
    order = sorted(single, key=lambda scan: (str(scan.path), str(scan.volume or "").zfill(VOLUME_DIGITS)))
    return Found(tuple(order), (*aside, *others, *more), told_apart(order), layout)


def _abnormal(
    folder: Path, patient: str | None, how: Mapping[str, Any], skip: Sequence[Path]
) -> tuple[list[Scan], list[LeftAside]]:
    if not folder.is_dir():
        raise FileNotFoundError(f"--abnormal {folder}: expected a folder of abnormal scans, got no such folder")
    found, aside, layout = find_scans(folder, skip=skip, **how)
    if layout not in (FOLDER, BIDS):
        raise ValueError(f"--abnormal {folder}: expected a folder of abnormal scans, got a {layout}")
    told, others = tell_patients(found, pattern=patient, side="abnormal/")
    if not told:
        raise ValueError(_nothing(folder, [*aside, *others]))
    return _classed([replace(scan, label="abnormal") for scan in told]), [*aside, *others]


def _classed(scans: Sequence[Scan]) -> list[Scan]:
    """Abnormal scans with their class: the first folder, where there are several and each has several patients.

    A folder of one patient may bear a name that must not be passed on.
    """
    patients: dict[str, set[str]] = defaultdict(set)  # folder -> patients
    for scan in scans:
        patients[PurePath(scan.name).parts[0] if "/" in scan.name else ""].add(scan.patient)
    if len(patients) < 2 or "" in patients or any(len(names) < 2 for names in patients.values()):
        return list(scans)
    return [replace(scan, columns={CLASS: PurePath(scan.name).parts[0]}) for scan in scans]


def _one_kind(scans: Sequence[Scan], wanted: str | None) -> tuple[list[Scan], list[LeftAside]]:
    """Scans of the wanted kind, else volumes where there are any: images beside them are pictures of them."""
    there = {scan.kind for scan in scans}
    kept = wanted if wanted in there else "volume" if "volume" in there else "image"
    one, other = ("an image", "a volume") if kept == "image" else ("a volume", "an image")
    reason = f"expected {one} as the others are, got {other}"
    return [scan for scan in scans if scan.kind == kept], [
        LeftAside(scan.path, f"{other} among {kept}s", f"{scan.path}: {reason}") for scan in scans if scan.kind != kept
    ]


def _check_sequences(folder: Path, scans: Sequence[Scan]) -> None:
    """Refuse a folder in which one visit has several kinds of scans, such as T1 and FLAIR."""
    visits: dict[tuple[str, str], set[str]] = defaultdict(set)  # (patient, visit) -> kinds
    for scan in scans:
        if scan.kind == "volume":
            visits[scan.patient, scan.visit].add(scan.sequence or sequence_of(scan))
    mixed = {name for names in visits.values() if len(names) > 1 for name in names}
    if mixed:
        seen = ", ".join(printable(name or "no description") for name in sorted(mixed)[:SHOWN])
        raise ValueError(
            f"{folder}: expected one kind of scan, got several of one visit ({seen}): choose one with --image PATTERN "
            "(shell pattern of a file's name, or of a DICOM series' description or folder; '*' takes all)"
        )


def _read(
    scans: Sequence[Scan], allow: Collection[str], progress: Progress | None
) -> tuple[list[Scan], list[LeftAside]]:
    read, aside = [], []
    for number, scan in enumerate(scans, 1):
        try:
            read.append(look_at(scan, allow))
        except (ValueError, OSError) as error:
            kind = "one slice only" if "got one slice" in str(error) else "refused by the reader"
            aside.append(LeftAside(scan.path, kind, " ".join(str(error).split())))
        if progress is not None:
            progress(number, len(scans))
    return read, aside


def _check_labelled(told: Sequence[Scan], read: Sequence[Scan], refused: Sequence[LeftAside]) -> None:
    """Refuse labels of which nothing is left: a test was asked for, and there would be none, hours later."""
    labelled = [scan for scan in told if scan.label == "abnormal" or scan.mask is not None]
    kept = {scan.path for scan in read}
    if labelled and not any(scan.path in kept for scan in labelled):
        paths = {scan.path for scan in labelled}
        reason = next(one.reason for one in refused if one.path in paths)
        raise ValueError(
            f"expected abnormal scans or masks that can be read, got none of {counted(len(labelled), 'scan')}: {reason}"
        )


def _trainable(scans: Sequence[Scan]) -> tuple[list[Scan], list[LeftAside]]:
    """Without what a list puts into training or validation though no part of it is known to be normal."""
    kept, aside = [], []
    for scan in scans:
        parts = scan.kind == "volume" and scan.mask is not None  # slices without lesion are normal
        if scan.section in (None, "test") or scan.label == "normal" or parts:
            kept.append(scan)
        else:
            reason = f"{scan.path}: expected a normal scan in section {scan.section}, got an abnormal one"
            aside.append(LeftAside(scan.path, "abnormal, outside of the test", reason))
    return kept, aside


def _one_modality(folder: Path, scans: Sequence[Scan]) -> tuple[list[Scan], list[LeftAside]]:
    """Scans of the commonest modality; a few others are left aside. What says nothing is no contradiction, but of CT.

    Raises:
        ValueError: if there are many others.
    """
    counts = Counter(map(_modality, scans))
    if len(counts) == 2 and "" in counts and CT not in counts:  # HU would have told a CT
        return list(scans), []
    (first, _), *rest = counts.most_common()
    others = [scan for scan in scans if _modality(scan) != first]
    if len(others) > FEW * len(scans):  # a few strays are left aside, a mixture is the user's to resolve
        listed = ", ".join(f"{count} {name or 'unknown'}" for name, count in [(first, counts[first]), *rest])
        raise ValueError(f"{folder}: expected scans of one modality, got {listed}: choose with --image PATTERN")
    reason = f"expected {first or 'no known modality'} as the others, got"
    kept = [scan for scan in scans if _modality(scan) == first]
    return kept, [
        LeftAside(scan.path, "of another modality", f"{scan.path}: {reason} {_modality(scan) or 'none'}")
        for scan in others
    ]


def _modality(scan: Scan) -> str:
    name = scan.looked_at.modality
    return "radiographs" if name in RADIOGRAPHS else name


def _once(scans: Sequence[Scan]) -> tuple[list[Scan], list[LeftAside]]:
    """Each scan once: one under two names could be trained on and tested. What is called abnormal is kept as such."""
    first: dict[str, Scan] = {}
    aside = []
    for scan in sorted(scans, key=lambda one: (one.label != "abnormal", one.section != "test", str(one.path))):
        other = first.setdefault(scan.looked_at.sha256, scan)
        if other is not scan:
            reason = f"{scan.path}: expected each scan once, got the values of {other.path}"
            aside.append(LeftAside(scan.path, "the same scan again", reason))
    return list(first.values()), aside


def _nothing(folder: Path, aside: Sequence[LeftAside]) -> str:
    counts = Counter(one.kind for one in aside)
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.most_common(SHOWN)) or "an empty folder"
    example = next((one.reason for one in aside if one.kind != "no image"), "")
    return f"{folder}: expected scans to train on, got none: {listed}" + (f"; {example}" if example else "")
