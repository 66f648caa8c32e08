"""Search for scans in a folder, data list or prepared folder, before any pixel is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path, PurePath
from re import IGNORECASE, compile
from typing import Any

from monai.utils import ensure_tuple

from qfae_monai.data import image_folder_datalist, volume_datalist
from qfae_monai.data.columns import CLASS, columns_of
from qfae_monai.data.image_folder import SUFFIXES as IMAGE_SUFFIXES
from qfae_monai.data.patients import BY_HEADER, BY_LIST
from qfae_monai.data.pictures import is_image_file
from qfae_monai.files import read_object
from qfae_monai.files.whole import files_below
from qfae_monai.model.scan import SECTIONS, LeftAside, Scan
from qfae_monai.reading import SeriesSummary, contents_of
from qfae_monai.reading.series_files import VOLUME_SUFFIXES, is_hidden
from qfae_monai.reading.volume_choice import ALL, Choice

__all__ = ["BIDS", "FOLDER", "LIST", "PREPARED", "find_scans", "things_below"]

FOLDER, BIDS, LIST, PREPARED = "folder", "BIDS data set", "data list", "prepared folder"
LIST_NAME = "dataset.json"
SPLITS = {"train": "training", "valid": "validation", "test": "test"}
MASK_FOLDER = compile(r"(labels?|masks?|segmentations?|anomaly_mask)(tr|ts|val)?", IGNORECASE)
BIDS_ASIDE = frozenset({"derivatives", "sourcedata", "code", "stimuli"})
Finding = tuple[list[Scan], list[LeftAside]]


def find_scans(
    path: Path,
    *,
    image: str | None = None,
    volume: Choice = None,
    include: Collection[str] = (),
    allow: Collection[str] = (),
    skip: Sequence[Path] = (),
) -> tuple[list[Scan], list[LeftAside], str]:
    """Scans, what is left aside of it, and which layout it is.

    Args:
        path: folder, data list, prepared folder or BIDS data set.
        image: shell pattern of scans: of a file's name, or of a DICOM series' description or folder; None for all.
        volume: of series that have several, as in `qfae_monai.reading.read_series`; `all` makes a scan of each. What an
            entry of a data list says counts more.
        include: kinds that are no scans, and are wanted all the same.
        allow: risks that the reader may let pass.
        skip: folders within it that hold something else.

    Raises:
        FileNotFoundError: if there is no such path, or no file in it.
        ValueError: if it is none of these, or a data list cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a folder of scans or a data list, got no such path")
    if path.is_file() and path.suffix.lower() != ".json":
        raise ValueError(f"{path}: expected a folder of scans or a data list (.json), got another file")
    if path.is_file() or (path / LIST_NAME).is_file():
        return *_listed(path if path.is_file() else path / LIST_NAME, volume, frozenset(include)), LIST
    if _is_prepared(path):
        return *_prepared(path), PREPARED
    things, aside = things_below(path, image=image, volume=volume, include=include, allow=allow, skip=skip)
    bids = any(part.startswith("sub-") for thing in things for part in PurePath(thing.name).parts)
    scans = []
    for thing in things:
        reason = _why_none(thing, bids)
        if reason is None:
            scans.append(thing)
        else:
            aside.append(LeftAside(thing.path, reason, f"{thing.path}: expected a scan, got one that is {reason}"))
    return scans, aside, BIDS if bids else FOLDER


def things_below(
    folder: Path,
    *,
    image: str | None = None,
    volume: Choice = None,
    include: Collection[str] = (),
    allow: Collection[str] = (),
    skip: Sequence[Path] = (),
) -> Finding:
    """Every readable series, volume and image of a folder, whatever it is for; and what is none.

    Args:
        folder, image, volume, include, allow, skip: as in `find_scans`.
    """
    skipped = [one.resolve() for one in skip]
    contents = contents_of(folder, volume=volume, include=include, allow=allow)
    pictures = [file for file in contents.pictures if not _is_below(file, skipped)]
    summaries = [one for one in contents.series if not _is_below(one.files[0], skipped)]
    alone = _folders_of_one(summaries)
    things: list[Scan] = []
    aside = [one for one in contents.aside if not _is_below(one.path, skipped)]
    for summary in summaries:
        thing = _series(summary, folder, alone)
        if summary.refusal is not None:
            aside.append(LeftAside(thing.path, "refused by the reader", " ".join(summary.refusal.split())))
        elif _fits(image, (summary.files[0].name, thing.sequence, thing.files[0].parent.name), summary.kind):
            things.append(thing)
        else:
            aside.append(_unlike(thing.path, image))
    for file in pictures:
        if image is None or fnmatchcase(file.name, image):
            things.append(Scan(file, (file,), "image", _stem(file, folder), visit=str(file.parent)))
        else:
            aside.append(_unlike(file, image))
    if not things and not aside:
        raise FileNotFoundError(f"{folder}: expected a folder with scans, got an empty one")
    return sorted(things, key=lambda thing: thing.name), aside


def _is_below(file: Path, folders: Sequence[Path]) -> bool:
    return bool(folders) and any(file.resolve().is_relative_to(folder) for folder in folders)


def _folders_of_one(summaries: Iterable[SeriesSummary]) -> set[Path]:
    """Folders below which there is one series alone, so that the folder names it."""
    series = {one.files: {up for file in one.files for up in file.parents} for one in summaries}  # each volume once
    seen = Counter(folder for folders in series.values() for folder in folders)
    return {folder for folder, count in seen.items() if count == 1}


def _series(summary: SeriesSummary, folder: Path, alone: set[Path]) -> Scan:
    first = summary.files[0]
    if summary.kind != "DICOM":
        name, visit = _stem(first, folder), str(first.parent)
        return Scan(first, summary.files, "volume", name, visit=visit, volume=summary.volume)
    name = _stem(first, folder)
    path = first
    if len(summary.files) > 1:
        name = (PurePath(name).parent / sha256(summary.uid.encode()).hexdigest()[:8]).as_posix()
        path = first.parent if first.parent in alone and len({file.parent for file in summary.files}) == 1 else first
    header = summary.attributes
    patient = str(header.get("patient_id") or "").strip()
    return Scan(
        path,
        summary.files,
        "image" if summary.picture else "volume",
        name,
        patient=patient,
        told_by=BY_HEADER if patient else "",
        sequence=summary.description,
        visit=str(header.get("study_uid") or first.parent),
        modality=str(header.get("modality") or ""),
        volume=summary.volume,
        include=(summary.category,) if summary.category else (),
    )


def _fits(image: str | None, names: tuple[str, str, str], kind: str) -> bool:
    """Names: of the first file, of the series, of its folder."""
    wanted = names[1:] if kind == "DICOM" else names[:1]
    return image is None or any(fnmatchcase(name, image) for name in wanted)


def _unlike(path: Path, image: str | None) -> LeftAside:
    return LeftAside(path, "not named like --image", f"{path}: expected a name like {image!r}, got another one")


def _why_none(thing: Scan, bids: bool) -> str | None:
    folders = PurePath(thing.name).parts[:-1]
    if any(MASK_FOLDER.fullmatch(part) for part in folders):
        return "in a folder of masks (give it with --masks)"
    if bids and folders and folders[0] in BIDS_ASIDE:
        return f"in {folders[0]}/ of a BIDS data set"
    return None


def _listed(path: Path, volume: Choice, include: frozenset[str]) -> Finding:
    """Scans of a data list, which knows its sections; a choice stands for entries that make none."""
    content = read_object(path, what="a data list")
    scans: list[Scan] = []
    aside: list[LeftAside] = []
    for section in SECTIONS:
        if not content.get(section):
            continue
        for entry in volume_datalist(path, section):
            chosen = {"volume": volume, "include": sorted(include), **entry}
            found = _as_found(_entry(chosen, section, path), chosen["image"])
            if found[0].label == "unknown" and found[0].mask is None and section != "test":
                reason = f"{found[0].path}: expected a label or image_label 0 to know that it is normal, got neither"
                aside.append(LeftAside(found[0].path, "not said to be normal", reason))
            else:
                scans += found
    if not scans and not aside:
        raise ValueError(f"{path}: expected scans in the sections {', '.join(SECTIONS)}, got none")
    return scans, aside


def _entry(entry: dict[str, Any], section: str, path: Path) -> Scan:
    first, *others = (Path(name) for name in ensure_tuple(entry["image"]))
    files = (first, *others)
    if first.is_dir():
        files = tuple(file for file in files_below(first) if not is_hidden(file, first))
    masks = ensure_tuple(entry.get("label", ()))
    patient = str(entry.get("patient", ""))
    return Scan(
        first,
        files,
        "image" if first.suffix.lower() in (*IMAGE_SUFFIXES, ".npy") else "volume",
        _stem(first, path.parent.absolute()) if not patient else str(entry["case"]),
        patient=patient,
        told_by=BY_LIST if patient else "",
        label={0: "normal", 1: "abnormal"}.get(entry.get("image_label", -1), "unknown"),
        mask=Path(masks[0]) if masks else None,
        section=section,
        volume=entry["volume"],
        include=tuple(entry["include"]),
        columns={key: entry[key] for key in ("image_label", CLASS, *columns_of(entry)) if key in entry},
    )


def _as_found(scan: Scan, source: str | list[str]) -> list[Scan]:
    """An entry's scan as its headers say: one for each volume where all are wanted, an image if it is a radiograph."""
    if scan.kind == "image":
        return [replace(scan, volume=None, include=())]
    if str(scan.path).lower().endswith(VOLUME_SUFFIXES):
        scan = replace(scan, include=())
        if scan.volume != ALL:
            return [scan]
    try:
        found = contents_of(source, volume=scan.volume, include=scan.include).series
    except (ValueError, OSError):  # the reader refuses it with the reason
        return [scan]
    if not found or len({one.files for one in found}) > 1:
        return [scan]
    patient = str(found[0].attributes.get("patient_id") or "").strip()
    if patient and not scan.patient:
        scan = replace(scan, patient=patient, told_by=BY_HEADER)
    scan = replace(scan, modality=str(found[0].attributes.get("modality") or ""))
    if found[0].picture:
        return [replace(scan, path=found[0].files[0], files=found[0].files, kind="image", volume=None, include=())]
    return [replace(scan, volume=one.volume) for one in found]


def _is_prepared(folder: Path) -> bool:
    train = next((one for one in sorted(folder.iterdir()) if one.is_dir() and one.name.lower() == "train"), None)
    return train is not None and any(one.is_dir() and one.name.lower() == "good" for one in train.rglob("*"))


def _prepared(folder: Path) -> Finding:
    """Scans of a folder in BMAD's layout, whose splits are the sections."""
    scans = []
    for split, section in SPLITS.items():
        try:
            entries = image_folder_datalist(folder, split)
        except FileNotFoundError:
            if split == "train":
                raise
            continue
        for entry in entries:
            path, mask = Path(entry["image"]), entry.get("label")
            label = "abnormal" if entry["image_label"] else "normal"
            mask = None if mask is None else Path(mask)
            columns = {CLASS: entry[CLASS]} if CLASS in entry else {}
            scan = Scan(
                path, (path,), "image", _stem(path, folder), label=label, mask=mask, section=section, columns=columns
            )
            scans.append(scan if is_image_file(path) else _as_found(replace(scan, kind="volume"), str(path))[0])
    listed = {file for scan in scans for file in (scan.path, scan.mask)}
    rest = [file for file in files_below(folder) if not is_hidden(file, folder) and file not in listed]
    return scans, [
        LeftAside(
            file,
            "outside of the layout",
            f"{file}: expected train, valid or test with good or Ungood, got another place",
        )
        for file in rest
    ]


def _stem(file: Path, folder: Path) -> str:
    """Path below a folder without suffix, with `/`."""
    below = file.relative_to(folder) if file.is_relative_to(folder) else Path(file.name)
    end = next((one for one in VOLUME_SUFFIXES if file.name.lower().endswith(one)), file.suffix)
    return below.with_name(file.name[: len(file.name) - len(end)] or file.name).as_posix()
