"""Pairing of masks with scans: by path, else by file name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from qfae_monai.data.patients import BY_NNUNET, NNUNET
from qfae_monai.model.finding import things_below
from qfae_monai.model.scan import LeftAside, Scan
from qfae_monai.reading.left_aside import INCLUDABLE
from qfae_monai.reading.volume_choice import FIRST

__all__ = ["pair_masks"]

SHOWN = 3


def pair_masks(scans: Sequence[Scan], folder: Path, others: Iterable[LeftAside] = ()) -> list[Scan]:
    """The scans, each with the mask of its name.

    A mask has the scan's path below its own folder, without suffix, or else its file name; of a DICOM folder, the
    folder's. Scans without a mask stay as they are.

    Args:
        scans: that may have masks.
        folder: of the masks.
        others: what was left aside: masks of these belong to no scan, and are no fault.

    Raises:
        FileNotFoundError: if the folder is missing or holds none.
        ValueError: if a mask fits no scan, or several.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"--masks {folder}: expected a folder of masks, got no such folder")
    masks, _ = things_below(folder, volume=FIRST, include=INCLUDABLE)  # a mask may be what is no scan
    by_path, by_name = defaultdict(list), defaultdict(list)
    for number, scan in enumerate(scans):
        for name in _names(scan):
            by_path[name].append(number)
            by_name[PurePath(name).name].append(number)
    aside = {_plain(one.path) for one in others}
    pairs: dict[int, Path] = {}
    strays = []
    for mask in masks:
        fits = next((hits for name in _names(mask) for hits in (by_path.get(name),) if hits), None) or [
            number for name in _names(mask)[:1] for number in by_name.get(PurePath(name).name, ())
        ]
        if len({scans[number].path for number in fits}) > 1:  # all volumes of a scan have its mask
            raise ValueError(f"--masks: {mask.path}: expected a name that one scan has, got that of {len(fits)}")
        if not fits and PurePath(mask.name).name not in aside:
            strays.append(mask.path.name)
        for number in fits:
            if number in pairs:
                raise ValueError(
                    f"--masks: expected one mask of {scans[number].path}, got {pairs[number]} and {mask.path}"
                )
            pairs[number] = mask.path
    if strays or not masks:
        shown = ", ".join(strays[:SHOWN]) + (" ..." if len(strays) > SHOWN else "")
        raise ValueError(
            f"--masks {folder}: expected masks named like the scans, got {len(strays)} of {len(masks)} that fit none"
            + (f": {shown}" if strays else "")
        )
    return [replace(scan, mask=pairs.get(number, scan.mask)) for number, scan in enumerate(scans)]


def _names(scan: Scan) -> list[str]:
    """Possible names of a scan's mask."""
    name = PurePath(scan.name)
    names = [scan.name]
    if len(scan.files) > 1:  # slices in a folder
        names.append(name.parent.as_posix())
    channel = NNUNET.fullmatch(name.name)
    if scan.told_by == BY_NNUNET and channel:
        names.append((name.parent / channel["case"]).as_posix())
    return names


def _plain(path: Path) -> str:
    return path.name.split(".", maxsplit=1)[0]
