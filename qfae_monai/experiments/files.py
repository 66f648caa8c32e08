"""Results on disk: each file is complete or absent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.files import csv_text, printable, read_object, read_rows, reading_as, write_whole


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dictionary as JSON, complete or not at all."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV, complete or not at all; None is an empty cell."""
    write_whole(path, csv_text([header, *rows]))


def read_json(path: Path) -> dict[str, Any] | None:
    """The dictionary in a JSON file, None if there is no such file.

    Raises:
        ValueError: if it holds something else.
    """
    return read_object(path) if path.is_file() else None


def digest(path: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read_scores(path: Path) -> tuple[NDArray, NDArray]:
    """Labels and scores (N,) of an evaluation's `slices.csv`, ordered by label, then by case.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a label is missing or a score is not a number.
    """
    with reading_as("scores of slices", path):
        rows = read_rows(path, ("case", "slice", "label", "score"))
        rows.sort(key=lambda row: (row["label"], row["case"], int(row["slice"])))
        unlabelled = [row["case"] for row in rows if row["label"] == ""]
        if unlabelled:
            raise ValueError(f"{path}: expected a label for each image, found {len(unlabelled)} without: "
                             f"{printable(unlabelled[0])}")  # fmt: skip
        scores = np.array([float(row["score"]) for row in rows])
        if not np.isfinite(scores).all():
            raise ValueError(f"{path}: expected finite scores, found {int((~np.isfinite(scores)).sum())} that are not")
        return np.array([int(row["label"]) for row in rows]), scores
