"""The tables of a run folder: their columns in one place, for who writes them and who reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation.detection import RULES, of_rule
from qfae_monai.evaluation.surfaces import Surfaces
from qfae_monai.files import write_csv
from qfae_monai.files.reading import read_cells
from qfae_monai.transforms.slice_choice import TRIVIAL_FEATURES

TRIVIAL_COLUMNS = tuple(f"trivial_{name}" for name in TRIVIAL_FEATURES)

SLICE_COLUMNS = (
    "case",
    "patient",
    "slice",
    "position",
    "score",
    "p_value",
    "label",
    "lesion_pixels",
    *TRIVIAL_COLUMNS,
    "rival_neighbours",
    "rival_mean_image",
    "error",
    "mean_image_error",
)
"""One row a scored slice. position: slice / (slices - 1), in [0, 1]; 0.5 for an image. label: 0, 1 or empty.
error, mean_image_error: mean over pixels of the model's map, and of the same distance from the mean training image."""

RULE_COLUMNS = tuple(of_rule(column, rule) for rule in RULES for column in ("lesions_found", "false_positives"))

VOLUME_COLUMNS = (
    "case",
    "patient",
    "score",
    "p_value",
    "label",
    "slices",
    "scored",
    "empty",
    "outside",
    "mask",
    "lesion_voxels",
    "voxel_mm3",
    "lesions",
    *RULE_COLUMNS,
    "dice",
    *Surfaces._fields,
    "candidate_level",
    "file_size",
    "channels",
    "matrix_size",
    "rival_neighbours",
    "rival_mean_image",
    "slice_axis",
)
"""One row per case, also of an image. mask: 1 where there is one. file_size: bytes. matrix_size: pixels of a slice.
candidate_level: map value above which the detections of `froc.py` are."""

LESION_COLUMNS = (
    "case",
    "patient",
    "lesion",
    "voxels",
    "mm3",
    "peak",
    "mean",
    *(of_rule("found", rule) for rule in RULES),
)
"""One row a lesion."""

TEXT_COLUMNS = frozenset({"case", "patient"})

ADDED_COLUMNS = frozenset({name for name in VOLUME_COLUMNS + LESION_COLUMNS if name.endswith(tuple(RULES)[1:])}) | {
    *Surfaces._fields,
    "candidate_level",
    "rival_mean_image",
    "error",
    "mean_image_error",
}
"""Columns that tables of older runs lack: what they say is unknown there."""


def write_table(path: Path, columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV, whole or not at all, sorted by case and then by slice or lesion.

    None and NaN become empty cells ("unknown"), booleans 0 and 1, floats nine digits, enough for any float32.

    Args:
        path: of the CSV.
        columns: one of the tuples above.
        rows: one mapping a row; a column it lacks is unknown.

    Raises:
        ValueError: if a row has a column that the table does not.
    """
    kept = list(rows)
    unknown = {name for row in kept for name in row} - set(columns)
    if unknown:
        raise ValueError(f"{path}: expected columns {', '.join(columns)}, got also {', '.join(sorted(unknown))}")
    # whatever order processes and folds finished in
    kept.sort(key=lambda row: (row["case"], row.get("slice", row.get("lesion", 0))))
    write_csv(path, columns, ([_cell(row.get(name)) for name in columns] for row in kept))


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, (float, np.floating)) and np.isnan(value)):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))  # before numbers, for True is an int
    if isinstance(value, (float, np.floating)):
        return f"{value:.9g}"  # every float32 comes back as it was
    return str(value)


@dataclass(frozen=True)
class Table:
    """Columns by name, each (N,): text for `case` and `patient`, else float64 with NaN for unknown."""

    columns: Mapping[str, NDArray]

    def __getitem__(self, name: str) -> NDArray:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["case"])

    def where(self, kept: NDArray[np.bool_]) -> Table:
        """The rows for which `kept` (N,) is True."""
        return Table({name: column[kept] for name, column in self.columns.items()})


def read_table(path: Path, columns: tuple[str, ...]) -> Table:
    """Read a CSV as `write_table` writes it; further columns are left out, `ADDED_COLUMNS` that it lacks are unknown.

    Raises:
        ValueError: naming file and row, if a column is missing or a cell is not a finite number.
        FileNotFoundError: if there is no such file.
    """
    header, rows = read_cells(path, tuple(name for name in columns if name not in ADDED_COLUMNS))
    known = {name: place for place, name in enumerate(header)}
    cells = {name: [row[known[name]] if name in known else "" for row in rows] for name in columns}
    return Table(
        {
            name: np.array(column, dtype=np.str_) if name in TEXT_COLUMNS else _numbers(path, name, column)
            for name, column in cells.items()
        }
    )


def _numbers(path: Path, name: str, cells: list[str]) -> NDArray[np.float64]:
    numbers = np.full(len(cells), np.nan)  # NaN stands for an empty cell
    for row, cell in enumerate(cells):
        try:
            numbers[row] = float(cell) if cell else np.nan
        except ValueError:
            raise ValueError(f"{path}, line {row + 2}: expected a number in column {name}, got {cell!r}") from None
        if cell and not np.isfinite(numbers[row]):  # float() reads "nan" and "inf", too
            raise ValueError(f"{path}, line {row + 2}: expected a finite number in column {name}, got {cell!r}")
    return numbers
