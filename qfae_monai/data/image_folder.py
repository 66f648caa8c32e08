"""Data lists of 2D image folders in BMAD's layout: good (normal) and Ungood (abnormal) images, and their masks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from qfae_monai.files.tables import check_file_name
from qfae_monai.reading.archive import is_hidden

__all__ = ["check_folder_patients", "image_folder_datalist", "is_dicom"]

SPLITS = {"train": ("train",), "valid": ("valid", "val"), "val": ("valid", "val"), "test": ("test",)}
SIDES = {"good": 0, "ungood": 1}  # image_label: 1 abnormal, 0 normal
IMAGE_FOLDER = "img"
MASK_FOLDERS = ("label", "anomaly_mask")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
STRIPPED = (*SUFFIXES, ".dcm", ".dicom", ".ima")  # what else stands behind a point is part of a DICOM file's name
SHOWN = 5  # names that an error lists


def image_folder_datalist(
    root: str | PathLike, split: str, *, require_masks: bool = False, patient_pattern: str | None = None
) -> list[dict[str, Any]]:
    """Images of one split of a folder in BMAD's layout, upper and lower case alike; radiographs in DICOM are images.

    ::

        train/good/*.png
        valid/{good,Ungood}/...   or val/
        test/{good,Ungood}/...    images in test/good, test/good/img or test/img/good,
                                  masks in test/Ungood/label or test/label/Ungood, or anomaly_mask instead of label
        test/Ungood/<class>/...   or test/Ungood/img/<class>, masks in test/Ungood/<class>/label or
                                  test/Ungood/label/<class>

    Args:
        root: folder with the splits.
        split: "train", "valid" (or "val") or "test".
        require_masks: whether every abnormal image needs a mask.
        patient_pattern: regular expression whose first group, found in a file's name, is the patient; None takes each
            image for a patient of its own.

    Returns:
        Dictionaries sorted by path: `image` (path), `image_label` (1 abnormal, 0 normal), `case` (file name
        without suffix, with its folder in front where two folders share the name), `patient` where there is a pattern
        and, where there is one, `label` (path of the mask) and `class` (name of the folder below Ungood).

    Raises:
        FileNotFoundError: when a folder is missing or has no images, or a required mask is missing.
        ValueError: when the split is unknown, `train` has abnormal images, the layout is ambiguous, two images share
            a name, a name can name no results, a mask has no image, or a name does not match the pattern.
    """
    folder = _split_folder(Path(root), split)
    groups = {(side, kind): _files(folder, side, kind) for side in SIDES for kind in ("", *_kinds(folder, side))}
    if not any(images for images, _ in groups.values()):
        raise FileNotFoundError(f"{folder}: expected images in good or Ungood, got {_names(folder.iterdir())}")
    ill = sum(len(images) for (side, _), (images, _) in groups.items() if side == "ungood")
    if split == "train" and ill:
        raise ValueError(f"{folder}: expected normal images alone, got {ill} Ungood ones")
    stems = Counter(stem for images, _ in groups.values() for stem in images)
    entries = []
    for (side, kind), (images, masks) in groups.items():
        _check_masks(images, masks, folder, kind or side, required=require_masks and side == "ungood")
        for stem, image in images.items():
            case = check_file_name(f"{kind or side}_{stem}" if stems[stem] > 1 else stem, f"{image}, case")
            label = {"label": str(masks[stem])} if stem in masks else {}
            patient = {} if patient_pattern is None else {"patient": _patient(image, patient_pattern)}
            named = {"class": kind} if kind else {}
            entries.append({"image": str(image), "image_label": SIDES[side], "case": case, **patient, **label, **named})
    return sorted(entries, key=lambda entry: entry["image"])


def check_folder_patients(root: str | PathLike, patient_pattern: str | None) -> None:
    """Refuse a folder in which one patient is in two splits: the evaluation would know its test cases.

    Args:
        root, patient_pattern: as in `image_folder_datalist`; without a pattern no patients are known.

    Raises:
        ValueError: when a patient is in two splits.
    """
    if patient_pattern is None:
        return
    owner: dict[str, str] = {}
    for split in ("train", "valid", "test"):
        for entry in image_folder_datalist(root, split, patient_pattern=patient_pattern):
            patient = entry["patient"]
            if owner.setdefault(patient, split) != split:
                raise ValueError(
                    f"{root}: expected each patient in one split, got {patient} in {owner[patient]} and "
                    f"{split} ({Path(entry['image']).name})"
                )


def _patient(image: Path, pattern: str) -> str:
    found = re.search(pattern, image.name)
    if not found or not found.groups():
        raise ValueError(f"{image}: expected a name in which {pattern!r} finds a group, the patient; got none")
    return found.group(1)


def _split_folder(root: Path, split: str) -> Path:
    if split not in SPLITS:
        raise ValueError(f"expected a split of {sorted(SPLITS)}, got {split!r}")
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: expected a folder with train, valid and test, got no such folder")
    return _one([found for name in SPLITS[split] for found in _subfolders(root, name)], root, f"folder {split!r}")


def _files(folder: Path, side: str, kind: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and masks of good or Ungood, or of one class below, by file name without suffix; empty without any."""
    image_folders, mask_folders = _places(folder, side)
    if kind:
        own = _nested(image_folders, kind.lower())
        image_folders = [*own, *_nested(own, IMAGE_FOLDER)]
        mask_folders = [
            *_nested(mask_folders, kind.lower()),
            *(found for mask in MASK_FOLDERS for found in _nested(own, mask)),
        ]
    images, masks = ([found for found in folders if _image_files(found)] for folders in (image_folders, mask_folders))
    where = f"folder of {kind or side}"
    return (
        _by_stem(_one(images, folder, f"{where} images")) if images else {},
        _by_stem(_one(masks, folder, f"{where} masks")) if masks else {},
    )


def _places(folder: Path, side: str) -> tuple[list[Path], list[Path]]:
    """Folders that images and masks of good or Ungood may lie in."""
    own = _subfolders(folder, side)
    image_folders = [*own, *_nested(own, IMAGE_FOLDER), *_nested(_subfolders(folder, IMAGE_FOLDER), side)]
    mask_folders = [
        found for mask in MASK_FOLDERS for found in (*_nested(own, mask), *_nested(_subfolders(folder, mask), side))
    ]
    return image_folders, mask_folders


def _kinds(folder: Path, side: str) -> list[str]:
    """Names of the classes below Ungood; good has none."""
    if side == "good":
        return []
    below = (entry for place in _places(folder, side)[0] for entry in sorted(place.iterdir()) if entry.is_dir())
    names = (entry.name for entry in below if entry.name.lower() not in (IMAGE_FOLDER, *MASK_FOLDERS))
    # one spelling of each, as folders are found whatever their case
    return list({name.lower(): name for name in names if not name.startswith(".")}.values())


def _subfolders(folder: Path, name: str) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name.lower() == name)


def _nested(folders: list[Path], name: str) -> list[Path]:
    return [found for folder in folders for found in _subfolders(folder, name)]


def _image_files(folder: Path) -> list[Path]:
    files = (entry for entry in folder.iterdir() if entry.is_file() and not is_hidden(entry, folder))  # ._a.png is none
    return sorted(entry for entry in files if entry.suffix.lower() in SUFFIXES or is_dicom(entry))


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM, whatever its name says."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _stem(path: Path) -> str:
    return path.stem if path.suffix.lower() in STRIPPED else path.name


def _by_stem(folder: Path) -> dict[str, Path]:
    files = _image_files(folder)
    twice = [stem for stem, count in Counter(map(_stem, files)).items() if count > 1]
    if twice:
        raise ValueError(f"{folder}: expected one file a name, got several of {_names(map(Path, twice))}")
    return {_stem(file): file for file in files}


def _one(found: list[Path], folder: Path, what: str) -> Path:
    if not found:
        raise FileNotFoundError(f"{folder}: expected a {what}, got {_names(folder.iterdir())}")
    if len(found) > 1:
        raise ValueError(f"{folder}: expected one {what}, got {', '.join(map(str, found))}")
    return found[0]


def _check_masks(images: dict[str, Path], masks: dict[str, Path], folder: Path, name: str, *, required: bool) -> None:
    unmasked = [path for stem, path in images.items() if stem not in masks]
    strays = [path for stem, path in masks.items() if stem not in images]
    if strays:
        raise ValueError(
            f"{folder}: expected {name} masks named like their images, got {len(strays)} masks without an image "
            f"({_names(strays)}) and {len(unmasked)} images without a mask ({_names(unmasked)})"
        )
    if required and unmasked:
        raise FileNotFoundError(
            f"{folder}: expected a mask for each of {len(images)} {name} images, got none for {len(unmasked)}: "
            f"{_names(unmasked)}"
        )


def _names(paths: Iterable[Path]) -> str:
    names = sorted(path.name for path in paths)
    return (", ".join(names[:SHOWN]) or "nothing") + (" ..." if len(names) > SHOWN else "")
