"""Records of finished sources, each written after its last output, so that an interrupted run can resume."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from qfae_monai.files import LOCK, read_object, remove_partials, schema, write_whole
from qfae_monai.recipes.source import SPLITS

__all__ = ["begin", "read_record", "record_path", "remove_strays", "remove_unfinished", "write_record"]

FOLDER = ".records"
SETTINGS = "settings.json"
RECORD = schema.record({"sizes": schema.entries(schema.whole())}, others=schema.anything)
OURS = re.compile(r"p[0-9a-f]{16}_s[0-9a-f]{16}(_\d+\.(png|npy)|\.json)")


def begin(output: Path, settings: Mapping[str, Any]) -> None:
    """Start or resume an output folder.

    Args:
        output: the folder; new, empty, or of an earlier run.
        settings: what decides the outputs; JSON values.

    Raises:
        ValueError: when the folder holds something else, or was begun with other settings.
    """
    path = output / FOLDER / SETTINGS
    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    if not path.exists():
        if output.exists() and any(entry.name != LOCK for entry in output.iterdir()):
            raise ValueError(f"{output}: expected a new or empty folder, or one that this command began, got another.")
        write_whole(path, text)
        return
    remove_unfinished(output)
    begun, new = read_object(path, what="the settings of a preparation"), json.loads(text)
    if changed := sorted(key for key in {*begun, *new} if begun.get(key) != new.get(key)):
        raise ValueError(
            f"{output}: expected the settings that it was begun with, got others: "
            + "; ".join(f"{key} was {begun.get(key)!r}, is {new.get(key)!r}" for key in changed)
        )


def record_path(output: Path, patient: str, series: str) -> Path:
    """File of a source's record."""
    return output / FOLDER / f"{patient}_{series}.json"


def write_record(output: Path, record: Mapping[str, Any]) -> None:
    """Say that a source is done."""
    write_whole(record_path(output, record["patient"], record["series"]), json.dumps(record) + "\n")


def read_record(output: Path, patient: str, series: str, expected: Mapping[str, Any]) -> dict[str, Any] | None:
    """Record of a source that is done; None where it is not, has changed or is damaged, or an output is missing.

    Args:
        output: folder of the outputs.
        patient: pseudonym.
        series: pseudonym.
        expected: values that the record must have: the source's hash and its plan.
    """
    path = record_path(output, patient, series)
    try:
        record = read_object(path, RECORD, what="the record of a source")
        whole = all(record.get(key) == value for key, value in expected.items()) and all(
            (output / name).stat().st_size == size for name, size in record["sizes"].items()
        )
    except (OSError, ValueError):  # none, or a damaged one: the source is done again
        return None
    return record if whole else None


def remove_strays(output: Path, outputs: Collection[str], sources: Iterable[tuple[str, str]]) -> None:
    """Remove what earlier, interrupted runs or plans left: outputs and records that are no longer part of the set.

    Args:
        output: folder of the outputs.
        outputs: files that belong to the set, relative to ``output``.
        sources: pseudonyms of patient and series of every source.
    """
    kept = {os.path.join(output, name) for name in outputs} | {str(record_path(output, *pair)) for pair in sources}
    for top in (*SPLITS, FOLDER):
        for folder, _, names in os.walk(output / top):
            for name in names:
                path = os.path.join(folder, name)
                if path not in kept and OURS.fullmatch(name):
                    os.unlink(path)


def remove_unfinished(output: Path) -> None:
    """Remove what was being written when its process was ended."""
    for top in (*SPLITS, FOLDER):
        for folder, _, _ in os.walk(output / top):
            remove_partials(Path(folder))
    remove_partials(output)
