"""Check for near-duplicates between the sections of a data set, before a training or an evaluation."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qfae_monai.data.near_duplicates import Pair
from qfae_monai.data.scan_picture import SIDE, kept_pictures, picture_key, picture_of_entry
from qfae_monai.data.split_duplicates import Pictured, across_sections, pictured, section_entries, sentences
from qfae_monai.files import write_whole
from qfae_monai.files.reading import parse_object
from qfae_monai.files.schema import choice, items, record, text
from qfae_monai.training.processes import gather, is_writer, world_size

__all__ = ["FILE", "SectionCheck"]

FILE = "pictures.safetensors"
PATH = text(longest=5000)
PICTURES = {"none": 0, "image": 1, "volume": 3}
"""Number of pictures, by the kind of a scan; `none` of one that could not be read."""
SCAN = {**dict.fromkeys(("key", "name", "case", "patient"), PATH), "section": text(), "kind": choice(*PICTURES)}
SCANS = record({"scans": items(record(SCAN))})
"""Schema of the file's metadata."""

logger = logging.getLogger(__name__)


class SectionCheck:
    """Find near-duplicates of different patients in different sections, and warn of them.

    Every process reads its share of the scans, but for those that this process has read before or whose pictures lie
    in the folder of the training. These pictures stay on the machine that trained, as its data list does.

    Args:
        datalist: file of a data list, or folder in BMAD's layout.
        folder: of the training.
        keep: whether the pictures are written there, for evaluations that do not read the training scans again.

    Attributes:
        warnings: sentences that name no scan, for a model that is passed on.
    """

    def __init__(self, datalist: str | os.PathLike, folder: str | os.PathLike, *, keep: bool = False) -> None:
        self.datalist, self.file, self.keep = Path(datalist), Path(folder) / FILE, keep
        self.warnings: list[str] = []
        self._scans: list[Pictured] = []
        self._pairs: list[Pair] = []

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI engine, which it precedes."""
        engine.add_event_handler(Events.STARTED, lambda _: self())

    def __call__(self) -> None:
        """Look for them, and say what was found."""
        earlier = _earlier(self.file)
        kept_pictures().update({key: one.picture for key, one in earlier.items() if one.picture is not None})
        keys, scans = self._read()
        if not is_writer():
            return
        if self.keep:
            write_whole(self.file, _bytes(keys, scans))
        else:  # of an evaluation, whose list may know nothing of the training's
            scans += [one for key, one in earlier.items() if key not in keys and one.section != "test"]
        self._scans, self._pairs = scans, across_sections(scans)
        self.warnings = sentences(scans, self._pairs, names=False)
        for sentence in sentences(scans, self._pairs):
            logger.warning(sentence)

    def record(self) -> dict[str, Any]:
        """What was found, as JSON has a form for it, with the number of scans compared in each section.

        `shared_patients` are those of test scans whose name the other sections have, too: within one data list they are
        refused, but scans may be tested later.
        """
        owners = {
            part: {scan.patient for scan in self._scans if (scan.section == "test") == part} for part in (True, False)
        }
        return {
            "sections": dict(Counter(scan.section for scan in self._scans if scan.picture is not None)),
            "shared_patients": len(owners[True] & owners[False]),
            "warnings": self.warnings,
            "pairs": [
                {
                    "cases": [self._scans[pair.first].case, self._scans[pair.second].case],
                    "sections": [self._scans[pair.first].section, self._scans[pair.second].section],
                    "correlation": round(pair.correlation, 4),
                }
                for pair in self._pairs
            ],
        }

    def _read(self) -> tuple[list[str], list[Pictured]]:
        """Keys and scans of the whole list, of which each process reads a part."""
        listed = section_entries(self.datalist)
        shares = world_size()
        mine = torch.distributed.get_rank() if shares > 1 else 0
        read = gather([picture_of_entry(entry) for _, _, entry in listed[mine::shares]])
        pictures = [read[number % shares][number // shares] for number in range(len(listed))]
        folder = self.datalist if self.datalist.is_dir() else self.datalist.parent.absolute()
        keys = [_key(entry) for _, _, entry in listed]
        return keys, [pictured(one, picture, folder) for one, picture in zip(listed, pictures, strict=True)]


def _key(entry: dict[str, Any]) -> str:
    try:
        return picture_key(entry["image"], entry.get("volume"))
    except OSError:  # whoever reads it says so
        return ""


def _bytes(keys: list[str], scans: list[Pictured]) -> bytes:
    """Content of the file: all pictures in one tensor, their scans in its metadata."""
    kinds = {count: kind for kind, count in PICTURES.items()}
    rows = [
        {
            **{field: getattr(scan, field) for field in ("name", "case", "patient", "section")},
            "key": key,
            "kind": kinds[0 if scan.picture is None else len(scan.picture)],
        }
        for key, scan in zip(keys, scans, strict=True)
    ]
    pictures = [np.zeros((0, SIDE, SIDE), np.int8), *(scan.picture for scan in scans if scan.picture is not None)]
    return save({"pictures": np.concatenate(pictures)}, metadata={"scans": json.dumps({"scans": rows})})


def _earlier(file: Path) -> dict[str, Pictured]:
    """Scans of the training by key; none where it ran on another machine, or by an earlier version.

    Raises:
        ValueError: naming the file, if it is damaged or another.
    """
    if not file.is_file():
        return {}
    try:
        with safe_open(file, framework="np") as content:
            pictures, metadata = content.get_tensor("pictures"), content.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{file}: expected pictures of a training's scans, got another file ({error})") from None
    rows = parse_object(metadata.get("scans", ""), file, SCANS)["scans"]
    ends = np.cumsum([0, *(PICTURES[row["kind"]] for row in rows)])
    if pictures.dtype != np.int8 or pictures.shape != (ends[-1], SIDE, SIDE):
        raise ValueError(f"{file}: expected {ends[-1]} pictures of {SIDE} x {SIDE}, got {list(pictures.shape)}")
    return {
        row.pop("key"): Pictured(picture=pictures[first:last] if row.pop("kind") != "none" else None, **row)
        for row, first, last in zip(rows, ends[:-1], ends[1:], strict=True)
    }
