"""Rows of the paper's tables and of ablations of our own, each described by its own overlay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from qfae_monai.experiments.data_folders import DATA
from qfae_monai.files import checked, shown
from qfae_monai.files.configurations import OWN, read_configuration
from qfae_monai.files.schema import choice, items, number, optional, record, text

FOLDER = OWN / "configs" / "experiments"
METADATA = "_row_"
"""Key of an overlay under which a row describes itself; MONAI's parser leaves it alone."""
CHANGES = "changes::"
DATASETS = ("brats2021", "resc", "rsna", "liverct")  # of BMAD
PAPER = "paper"
"""Group of the rows that a table of the paper has; those of our own are grouped by the first word of their names."""
SENTENCES = text(longest=600)
PUBLISHED = record(
    {"image_auroc": number(0, 100), "source": text()},
    {"std": optional(number(0, 100)), "checkpoint": optional(number(0, 100))},
)
ROW = record(
    {"row": text(), "dataset": choice(*DATASETS)},
    {
        "table": items(text(r"[0-9]{1,3}[a-z]?", "the number of a table")),
        "data": choice(*DATA),
        "published": PUBLISHED,
        "trained_by": text(),
        "note": SENTENCES,
        "reading": SENTENCES,
        "others": items(text(r"[^=]+=.+", "KEY=VALUE")),
    },
)
"""Schema of what a row says of itself."""
LAYOUT = "datasets/bmad"
"""Overlay of the folders in which all four data sets are published (BMAD)."""


@dataclass(frozen=True)
class Published:
    """Image AUROC in percent as published.

    image_auroc: mean over the five seeds, or the one figure that the paper states.
    source: where the figures were read.
    std: standard deviation over the seeds, None where the paper states none.
    checkpoint: of the one published checkpoint, None where there is none.
    """

    image_auroc: float
    source: str
    std: float | None = None
    checkpoint: float | None = None

    def __str__(self) -> str:
        return f"{self.image_auroc:.1f}" + ("" if self.std is None else f" ± {self.std:.2f}")


@dataclass(frozen=True)
class ExperimentRow:
    """One row.

    name: of the overlay's file without suffix.
    tables: the paper's tables that have this row; empty for an ablation of our own.
    row: what distinguishes it.
    dataset: one of `DATASETS`.
    published: None for an ablation of our own.
    trained_by: row whose training this one shares, because they differ in scoring alone; None for its own.
    note: what a reader has to know about it.
    reading: what is taken where the paper leaves a setting open; empty where it leaves none.
    others: settings, as KEY=VALUE, that take the other reading.
    data: name of the folder that it needs, of `DATA`.
    changes: numbers of the model that it replaces, by name.
    """

    name: str
    tables: tuple[str, ...]
    row: str
    dataset: str
    published: Published | None
    trained_by: str | None = None
    note: str = ""
    reading: str = ""
    others: tuple[str, ...] = ()
    data: str = ""
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """`paper`, or the first word of the name."""
        return PAPER if self.tables else self.name.partition("-")[0]

    def overlays(self, layout: str = LAYOUT) -> list[str]:
        """Names of the bundle's configurations for training, in the order in which they are applied."""
        return ["train", layout, f"experiments/{self.name}"]


def load_rows(*, table: str | None = None, dataset: str | None = None, group: str | None = None) -> list[ExperimentRow]:
    """All rows by table and published figure, or those of one table, data set or group.

    Args:
        table: number of a table; `2` stands for `2a`, `2b`, `2c` and `2d`.
        dataset: one of `DATASETS`.
        group: `paper`, or the first word of the names of our own rows.

    Raises:
        ValueError: if an overlay does not describe itself, or there is no such table, data set or group.
    """
    if dataset is not None and dataset not in DATASETS:
        raise ValueError(f"--dataset: expected one of {', '.join(DATASETS)}, got {shown(dataset)}")
    rows = [read_row(path) for path in sorted(FOLDER.glob("*.yaml"))]  # a row is a file: a new one needs no code
    groups = sorted({row.group for row in rows}, key=lambda name: (name != PAPER, name))
    if group is not None and group not in groups:
        raise ValueError(f"--group: expected one of {', '.join(groups)}, got {shown(group)}")
    wanted = None if table is None else set(_named_tables(table, rows))
    found = [
        row
        for row in rows
        if (wanted is None or wanted & set(row.tables))
        and dataset in (None, row.dataset)
        and group in (None, row.group)
    ]
    return sorted(found, key=lambda row: (groups.index(row.group), *_place(row, wanted), row.name))


def find_row(name: str) -> ExperimentRow:
    """The row of that name.

    Raises:
        ValueError: if there is none.
    """
    rows = {row.name: row for row in load_rows()}
    if name not in rows:
        raise ValueError(f"expected an experiment of `qfae experiments list`, got {shown(name)}")
    return rows[name]


def read_row(path: Path) -> ExperimentRow:
    """The row that an overlay describes; raises ValueError if it describes none."""
    if METADATA not in (content := read_configuration(path)):
        raise ValueError(f"{path}: expected {METADATA!r} with row and dataset, got none")
    about = checked(content[METADATA], ROW, path, what=f"{METADATA!r} of an experiment")
    return ExperimentRow(
        path.stem,
        tuple(about.get("table", ())),
        about["row"],
        about["dataset"],
        Published(**about["published"]) if "published" in about else None,
        others=tuple(about.get("others", ())),
        data=about.get("data", about["dataset"]),
        changes={key.removeprefix(CHANGES): value for key, value in content.items() if key.startswith(CHANGES)},
        **{key: about[key] for key in ("trained_by", "note", "reading") if key in about},
    )


def _named_tables(table: str, rows: Sequence[ExperimentRow]) -> list[str]:
    """Tables that a number stands for: itself, or its parts `2a` to `2d`."""
    known = sorted({one for row in rows for one in row.tables}, key=_number)
    found = [one for one in known if table in (one, one.rstrip(ascii_lowercase))]
    if not found:
        raise ValueError(f"--table: expected one of {', '.join(known)}, got {shown(table)}")
    return found


def _number(table: str) -> tuple[int, str]:
    """`2a` after `2`, before `10`."""
    digits = table.rstrip(ascii_lowercase)
    return int(digits), table[len(digits) :]


def _place(row: ExperimentRow, wanted: set[str] | None) -> tuple[tuple[int, str], float]:
    """First of the row's tables that is wanted, and the figure there, which climbs in most tables."""
    tables = [_number(one) for one in row.tables if wanted is None or one in wanted]
    return min(tables, default=(0, "")), row.published.image_auroc if row.published else 0.0
