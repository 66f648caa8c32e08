"""Records of finished sources, each written after its last output, so that an interrupted run can resume."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qfae_monai.files import LOCK, csv_text, read_object, remove_partials, schema, write_json, write_whole
from qfae_monai.recipes.source import SPLITS

__all__ = [
    "COLUMNS",
    "REFUSED_COLUMNS",
    "begin",
    "datalist_text",
    "read_record",
    "record_path",
    "remove_strays",
    "remove_unfinished",
    "table_text",
    "write_record",
]

# Manifest and data list: one row an output, and the same as MONAI's JSON of training, validation and test.

COLUMNS = (
    "output",
    "mask",
    "split",
    "label",
    "lesion_pixels",
    "patient",
    "told_by",
    "series",
    "slice_index",
    "rows",
    "columns",
    "spacing_mm",
    "affine",
    "scaling",
    "source_hmac",
    "burned_in_annotation",
    "allowed_risks",
    "recipe",
    "software",
)
"""label: 1 abnormal, 0 normal. told_by: how the patient was told from others. spacing_mm: between rows, columns,
slices. affine: (row, column, 0, 1) to RAS+ mm, row after row. scaling: JSON. source_hmac: keyed hash of all files that
voxels come from, see `Pseudonyms.content`."""

REFUSED_COLUMNS = ("patient", "series", "source_hmac", "burned_in_annotation", "reason")
SECTIONS = {"train": "training", "valid": "validation", "test": "test"}


def table_text(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> str:
    """CSV of rows; a row without a value for a column leaves it empty."""
    return csv_text([columns, *([row.get(column) for column in columns] for row in rows)])


def datalist_text(rows: Iterable[dict[str, Any]], name: str, description: str) -> str:
    """JSON of the outputs by section, as `qfae_monai.data.volume_datalist` reads it; paths are relative."""
    sections: dict[str, list[str]] = {section: [] for section in SECTIONS.values()}
    for row in rows:
        mask = {"label": row["mask"]} if row["mask"] else {}
        case = f"{row['patient']}_{row['series']}_{row['slice_index']:04d}"
        entry = {"image": row["output"], **mask, "image_label": row["label"], "case": case, "patient": row["patient"]}
        sections[SECTIONS[row["split"]]].append(json.dumps(entry))
    head = {"name": name, "description": description, "labels": {"0": "normal", "1": "abnormal"}}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    # one entry per line: read by people too, and written at once
    lines += [f"{json.dumps(section)}: [\n" + ",\n".join(entries) + "\n]" for section, entries in sections.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


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
        if output.exists() and any(entry.name != LOCK for entry in output.iterdir()):  # our own lock is there already
            raise ValueError(f"{output}: expected a new or empty folder, or one that this command began, got another")
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
    write_json(record_path(output, record["patient"], record["series"]), record, indent=None)


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
        outputs: files that belong to the set, relative to `output`.
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
