"""Data lists of volumes: Decathlon-style JSON, with identifiers and with a guard against patients in two sections."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path, PureWindowsPath
from posixpath import normpath
from typing import Any

from monai.data import load_decathlon_datalist
from monai.utils import ensure_tuple

from qfae_monai.data.patients import BY_LIST, BY_NAME, NamedScan, tell_patients
from qfae_monai.files import checked, read_object, schema, shown
from qfae_monai.files.tables import check_file_name
from qfae_monai.reading.left_aside import check_include
from qfae_monai.reading.volume_choice import ALL, check_volume

__all__ = ["check_patient_disjoint", "filled_sections", "some", "stem_of", "told_entries", "volume_datalist"]

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".dcm")
IDENTIFIERS = ("case", "patient", "image_label", "class", "volume", "include")
PATHS = ("image", "label")
SHOWN = 5  # entries that an error lists


def _patient(value: Any, key: str) -> None:
    """A name, or a number as one."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError(f"{key}: expected a name or a whole number, got {shown(value)}")


def _volume(value: Any, key: str) -> None:
    """Check an entry's choice of one volume; `all` is refused, because it needs an entry for each."""
    try:
        choice = check_volume(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if choice == ALL:
        raise ValueError(f"{key}: expected the volume of this entry, got all: list an entry for each")


def _include(value: Any, key: str) -> None:
    """Kinds of what is no scan that an entry is one of."""
    names = value if isinstance(value, list) and all(isinstance(one, str) for one in value) else [shown(value)]
    try:
        check_include(names)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


ENTRY = schema.record(
    {},
    {
        "image_label": schema.optional(schema.whole(0, 1)),
        "patient": _patient,
        "class": schema.optional(_patient),
        "volume": _volume,
        "include": _include,
    },
    others=schema.anything,
)
"""Of an entry, what decides sides and splits; `image`, `label` and `case` are checked as paths and names."""


def volume_datalist(path: str | PathLike, section: str, *, limit: int | None = None) -> list[dict[str, Any]]:
    """Volumes of one section of a data list file.

    Args:
        path: JSON file with one list per section. Each entry is a path of an image, or a dictionary of `image` and,
            where known, `label` (mask: above 0 is lesion; null for none), `image_label` (1 abnormal, 0 normal), `case`,
            `patient`, `class` (of what is abnormal), `volume` (which one where a series has several) and `include`
            (list of kinds), both as in `read_series`; other keys are columns of one's own. Relative paths stay below
            the file's folder; a scan that lies elsewhere has an absolute one.
            A `case` names files of results, so it is a file's name.
        section: name of the list, such as "training", "validation" or "test".
        limit: at most so many, spread evenly over the list; None for all.

    Returns:
        One dictionary per volume, with absolute paths and a `case`: the image's file name without suffix, or its
        folder's name where file names repeat within the file.

    Raises:
        FileNotFoundError: when the data list or a file that it names is missing.
        ValueError: when the section is missing or empty, an entry has no image, a path leads out of the folder, a case
            is no file's name, an image is listed twice, or two cases that are scored have one name.
    """
    path = Path(path)
    content = _read(path)
    entries = _section(content, section, path)
    _check_files(entries, f"section {section!r} of {path}")
    cases = _case_names(content, path)
    named = [
        {**entry, "case": check_file_name(_case(entry, cases), f"{_where(path, section, n)}, case")}
        for n, entry in enumerate(entries, 1)
    ]
    if section != "training":  # a case names files of results
        _check_cases(named, path, section)
    return named if limit is None else named[:: max(1, -(-len(entries) // limit))]


def _case(entry: dict[str, Any], cases: dict[str, str]) -> Any:
    """Its own, else that of its image, with the volume where that tells it from others of the same image."""
    own = cases[_image(entry)]
    return entry.get("case", own if entry.get("volume") is None else f"{own}-volume-{entry['volume']}")


def _check_cases(entries: Sequence[dict[str, Any]], path: Path, section: str) -> None:
    first: dict[str, dict[str, Any]] = {}
    for entry in entries:
        other = first.setdefault(entry["case"].casefold(), entry)  # some file systems have one file for both
        if other is not entry:
            raise ValueError(
                f"{path}: section {section!r}: expected a case of its own for each entry, got {entry['case']!r} of "
                f"{_image(other)} and of {_image(entry)}"
            )


def check_patient_disjoint(path: str | PathLike, sections: Sequence[str] | None = None) -> None:
    """Refuse a data list in which one patient is in two sections: the evaluation would know its test cases.

    Args:
        path: JSON file as in `volume_datalist`.
        sections: names of the lists to compare; None for all in the file.

    Raises:
        ValueError: when a patient, as `told_entries` tells it, or an image is in two of the sections.
    """
    owner: dict[str, str] = {}
    shared: dict[str, str] = {}
    for section, entry, told in told_entries(path, filled_sections(path) if sections is None else sections):
        # an image is its own patient too: it may carry different identifiers in two sections
        for patient in (told.patient, _image(entry)):
            if owner.setdefault(patient, section) != section:
                shared[patient] = f"{patient} in {owner[patient]!r} and {section!r}"
    if shared:
        raise ValueError(f"{path}: expected each patient in one section, got {some(list(shared.values()))}")


def told_entries(path: str | PathLike, sections: Sequence[str]) -> list[tuple[str, dict[str, Any], NamedScan]]:
    """Section, entry and patient of every volume of a data list.

    A patient is told by `patient` of the entry, else by the rules of `tell_patients` for names of files: `sub-` of
    BIDS names, nnU-Net's cases. Else it is the entry's `case`.

    Args:
        path: JSON file as in `volume_datalist`.
        sections: names of the lists.

    Raises:
        FileNotFoundError, ValueError: as `volume_datalist`.
    """
    folder = Path(path).parent.absolute()
    listed = [(section, entry) for section in sections for entry in volume_datalist(path, section)]
    told, _ = tell_patients([_named(entry, folder) for _, entry in listed], folders=False)
    return [
        (section, entry, replace(scan, patient=str(entry["case"])) if scan.told_by == BY_NAME else scan)
        for (section, entry), scan in zip(listed, told, strict=True)
    ]


def _named(entry: dict[str, Any], folder: Path) -> NamedScan:
    image = Path(_image(entry))
    below = image.relative_to(folder) if image.is_relative_to(folder) else Path(image.name)
    kind = "volume" if image.is_dir() or image.name.lower().endswith(SUFFIXES) else "image"
    patient = str(entry.get("patient", ""))
    name = below.with_name(stem_of(image)).as_posix()
    return NamedScan(image, kind, name, patient, BY_LIST if patient else "")


def filled_sections(path: str | PathLike) -> list[str]:
    """Names of a data list's sections that hold something."""
    content = _read(Path(path))
    return [section for section in _sections(content) if content[section]]


def _read(path: Path) -> dict[str, Any]:
    return read_object(path, what="a data list in JSON")


def _section(content: dict[str, Any], section: str, path: Path) -> list[dict[str, Any]]:
    """Entries of a section with absolute paths."""
    if not isinstance(content.get(section), list):
        raise ValueError(f"{path}: expected a section {section!r}, got the sections {_sections(content)}")
    raw = [{"image": entry} if isinstance(entry, str) else entry for entry in content[section]]
    if not raw:
        raise ValueError(f"{path}: expected volumes in section {section!r}, got none")
    for number, entry in enumerate(raw, 1):
        if not (isinstance(entry, dict) and entry.get("image")):
            raise ValueError(f"{path}: expected an image in each entry of section {section!r}, got {shown(entry)}")
        checked(entry, ENTRY, _where(path, section, number))
        for key, value in entry.items():
            where = f"{_where(path, section, number)}, {key}"
            if key == "label" and value is None:
                continue
            if key in PATHS:
                _check_paths(value, where)
            elif isinstance(value, str) and key not in IDENTIFIERS:  # MONAI makes a path of it where it names a file
                _check_below(value, where)
    if any(isinstance(entry, str) for entry in content[section]):
        loaded = [{**e, **{k: _absolute(path, e[k]) for k in PATHS if e.get(k) is not None}} for e in raw]
        return [_as_listed(new, old) for new, old in zip(loaded, raw, strict=True)]
    loaded = load_decathlon_datalist(path, is_segmentation=True, data_list_key=section, base_dir=path.parent.absolute())
    return [_as_listed(new, old) for new, old in zip(loaded, raw, strict=True)]


def _as_listed(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """An entry with its own texts and numbers, and without a label that is null.

    MONAI turns any text that happens to name a file or a folder into a path: "case": "patient_1" beside patient_1/.
    """
    kept = {**new, **{key: value for key, value in old.items() if key not in PATHS}}
    return {key: value for key, value in kept.items() if key != "label" or value is not None}


def _sections(content: dict[str, Any]) -> list[str]:
    return [
        key
        for key, value in content.items()
        if isinstance(value, list) and all(isinstance(entry, str | dict) for entry in value)
    ]


def _where(path: Path, section: str, number: int) -> str:
    return f"{path}: section {section!r}, entry {number}"


def _check_paths(value: Any, where: str) -> None:
    for name in value if isinstance(value, list) else [value]:
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            raise ValueError(f"{where}: expected the path of a file, got {repr(name)[:80]}")
        _check_below(name, where)


def _check_below(name: str, where: str) -> None:
    """Refuse a relative path that leads out of the data list's folder, on any system.

    An absolute path passes: it was written for this machine, by who knows where the scans lie. So does a symbolic link,
    which is part of the folder and not of the list.
    """
    climbs = normpath(name.replace("\\", "/")).split("/", maxsplit=1)[0] == ".."
    if not os.path.isabs(name) and (climbs or PureWindowsPath(name).anchor):
        raise ValueError(
            f"{where}: expected a path below the data list's folder, or an absolute one, got {name[:200]!r}"
        )


def _absolute(path: Path, name: Any) -> Any:
    """As MONAI resolves names, `..` included."""
    if isinstance(name, list):
        return [_absolute(path, one) for one in name]
    return os.path.normpath(path.parent.absolute() / name)


def _image(entry: dict[str, Any]) -> str:
    return str(ensure_tuple(entry["image"])[0])


def _check_files(entries: list[dict[str, Any]], where: str) -> None:
    named = [str(name) for entry in entries for key in ("image", "label") for name in ensure_tuple(entry.get(key, ()))]
    missing = [name for name in named if not Path(name).exists()]
    if missing:
        raise FileNotFoundError(
            f"{where}: expected every file to exist, got {len(missing)} of {len(named)} missing: {some(missing)}"
        )
    listed = Counter((_image(entry), entry.get("volume")) for entry in entries)
    twice = [image for (image, _), count in listed.items() if count > 1]
    if twice:
        raise ValueError(f"{where}: expected each image once, got {len(twice)} listed again: {some(twice)}")


def _case_names(content: dict[str, Any], path: Path) -> dict[str, str]:
    """Image path -> case, from the shortest part of the path that tells all images of the file apart."""
    listed = [entry for section in _sections(content) for entry in content[section]]
    entries = [{"image": entry} if isinstance(entry, str) else entry for entry in listed]
    images = {_image(entry) for entry in entries if entry.get("image")}
    paths = [Path(_absolute(path, image)) for image in sorted(images)]
    for name_of in (stem_of, lambda p: p.parent.name, lambda p: f"{p.parent.name}_{stem_of(p)}"):
        names = {str(p): name_of(p) for p in paths}
        if len(set(names.values())) == len(paths):
            return names
    return {str(p): "_".join((*p.parent.parts[1:], stem_of(p))) for p in paths}


def stem_of(path: Path) -> str:
    """Name of a file without the suffix of a volume's format."""
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), "")
    return path.name[: len(path.name) - len(suffix)]


def some(names: Sequence[str]) -> str:
    """The first few of some names, as text."""
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
