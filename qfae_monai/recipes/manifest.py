"""Manifest and data list: one row an output, and the same as MONAI's JSON of training, validation and test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from qfae_monai.files import csv_text

__all__ = ["COLUMNS", "REFUSED_COLUMNS", "datalist_text", "table_text"]

COLUMNS = (
    "output", "mask", "split", "label", "lesion_pixels", "patient", "told_by", "series", "slice_index", "rows",
    "columns", "spacing_mm", "affine", "scaling", "source_hmac", "burned_in_annotation", "allowed_risks", "recipe",
    "software",
)  # fmt: skip
"""label: 1 abnormal, 0 normal. told_by: how the patient was told from others. spacing_mm: between rows, columns,
slices. affine: (row, column, 0, 1) to RAS+ mm, row after row. scaling: JSON. source_hmac: keyed hash of all files that
voxels come from, see :meth:`Pseudonyms.content`."""

REFUSED_COLUMNS = ("patient", "series", "source_hmac", "burned_in_annotation", "reason")
SECTIONS = {"train": "training", "valid": "validation", "test": "test"}


def table_text(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> str:
    """CSV of rows; a row without a value for a column leaves it empty."""
    return csv_text([columns, *([row.get(column) for column in columns] for row in rows)])


def datalist_text(rows: Iterable[dict[str, Any]], name: str, description: str) -> str:
    """JSON of the outputs by section, as :func:`qfae_monai.data.volume_datalist` reads it; paths are relative."""
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
