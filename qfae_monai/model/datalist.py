"""The data list that a training reads, made from scans and their split: files as they lie, patients by pseudonym."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qfae_monai.files import write_whole
from qfae_monai.model.scan import Scan
from qfae_monai.model.split import Split
from qfae_monai.privacy.pseudonyms import Pseudonyms

__all__ = ["write_datalist"]

LABELS = {"normal": 0, "abnormal": 1}


def write_datalist(split: Split, folder: Path, *, key: bytes, training: Sequence[Any] = ()) -> Path:
    """Write `dataset.json`, as `qfae_monai.data.volume_datalist` reads it.

    Paths are absolute, so the file belongs to this machine and to no model that is passed on; `patient` and `case`
    are keyed pseudonyms, which results may bear.

    Args:
        split: of the scans.
        folder: that it is written to.
        key: of the pseudonyms, as `read_or_create_key` gives it.
        training: entries of a training's own list, where the split has none.

    Returns:
        The file.
    """
    names = Pseudonyms(key)
    sections = {
        section: [_entry(scan, names) for scan in scans] for section, scans in split.sections().items() if scans
    }
    if training:
        sections["training"] = list(training)
    head = {"name": "training", "labels": {"0": "normal", "1": "abnormal"}, "key": names.fingerprint}
    path = folder / "dataset.json"
    write_whole(path, json.dumps({**head, **sections}, indent=1) + "\n")
    return path


def _entry(scan: Scan, names: Pseudonyms) -> dict[str, Any]:
    """One entry; `image_label` speaks of the whole scan, so a mask alone says which slices are normal."""
    image: str | list[str] = str(scan.path.absolute())
    if len(scan.files) > 1 and scan.path.is_file():  # one series of several in a folder
        image = [str(file.absolute()) for file in scan.files]
    mask = {} if scan.mask is None else {"label": str(scan.mask.absolute())}
    volume = "" if scan.volume is None else f" volume {scan.volume}"
    known = {"image_label": LABELS[scan.label]} if scan.label in LABELS else {}
    return {
        "image": image,
        **mask,
        **known,
        **({} if scan.volume is None else {"volume": scan.volume}),
        **({"include": list(scan.include)} if scan.include else {}),
        "case": names.series(scan.patient, f"{scan.path.absolute()}{volume}"),
        "patient": names.patient(scan.patient),
    }
