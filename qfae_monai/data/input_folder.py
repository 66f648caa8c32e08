"""Data list of a folder for inference: every volume and DICOM series below it, or every single image."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import Any

from qfae_monai.data.volumes import some, stem_of
from qfae_monai.files.tables import check_file_name
from qfae_monai.reading.left_aside import LeftAside, lines_of
from qfae_monai.reading.series_contents import contents_of
from qfae_monai.reading.series_summary import Contents, SeriesSummary
from qfae_monai.reading.volume_choice import Choice

__all__ = ["input_datalist"]

logger = logging.getLogger(__name__)


def input_datalist(
    folder: str | PathLike, *, volume: Choice = None, include: Collection[str] = (), images: bool = False
) -> list[dict[str, Any]]:
    """All volumes and DICOM series below a folder, for inference: `image`, and as `case` the path below the folder.

    Of a series that fills several files `image` lists them, and `case` is the first one's folder and its number. What
    is left aside of the folder is logged with its reason.

    Args:
        folder: with its sub-folders.
        volume: of series that have several, as in `read_series`; `all` makes an entry of each.
        include: kinds that are no scans, as in `read_series`.
        images: whether single images are wanted instead: image files, and radiographs in DICOM.

    Raises:
        FileNotFoundError: when the folder is missing or holds none of what is wanted.
        ValueError: when a file's name can name no results.
    """
    folder = Path(folder)
    found = contents_of(folder, volume=volume, include=include) if folder.is_dir() else Contents()
    other = [one.files[0] for one in found.series if one.picture != images] + ([] if images else [*found.pictures])
    kinds = ("volume", "single image")
    reason = f"a {kinds[not images]}: the model was trained on {kinds[images]}s"
    for line in lines_of([*found.aside, *(LeftAside(file, kinds[not images], reason) for file in other)]):
        logger.warning("%s", line)
    wanted = [one for one in found.series if one.picture == images]
    wanted += [SeriesSummary("image", (file,)) for file in found.pictures] if images else []
    if not wanted:
        what = "image files or radiographs in DICOM" if images else "volumes or DICOM series"
        raise FileNotFoundError(f"{folder}: expected a folder with {what}, found none")
    entries = [(one, _below(one, folder)) for one in sorted(wanted, key=lambda one: (one.files, one.volume or 0))]
    names = Counter(case for _, case in entries)
    if twice := [case for case, count in names.items() if count > 1]:
        raise ValueError(f"{folder}: expected names that tell its volumes apart, got {some(twice)} again")
    return [_input(one, check_file_name(case, f"{one.files[0]}, case")) for one, case in entries]


def _input(one: SeriesSummary, case: str) -> dict[str, Any]:
    image = [str(file) for file in one.files]
    entry: dict[str, Any] = {"image": image[0] if len(image) == 1 else image, "case": case}
    if one.volume is not None:
        entry["volume"] = one.volume
    return {**entry, "include": [one.category]} if one.category else entry


def _below(one: SeriesSummary, folder: Path) -> str:
    parts = one.files[0].parent.relative_to(folder).parts
    last = f"series-{'unnumbered' if one.number is None else one.number}"
    if len(one.files) == 1:
        last = one.files[0].stem if one.kind == "image" else stem_of(one.files[0])
    return "_".join((*parts, last if one.volume is None else f"{last}-volume-{one.volume}"))
