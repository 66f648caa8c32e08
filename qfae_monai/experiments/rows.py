"""Rows of the paper's tables, each described by its own overlay, and the settings that a results folder began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qfae_monai.experiments.seed_run import digest, read_json
from qfae_monai.files import checked, write_json
from qfae_monai.files.configurations import OWN, read_configuration
from qfae_monai.files.schema import choice, items, number, optional, record, text
from qfae_monai.model.bundle import configuration_file

# Record of the settings that a results folder was started with: later runs must have the same.


def claimed_inputs(overlays: Sequence[str | Path], data: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs that decide a result besides its seed: data, settings, and the bytes of the configurations."""
    return {
        "data": str(data.resolve()),
        **{f"--set {key}": value for key, value in settings.items()},
        **{str(name): digest(configuration_file(name)) for name in overlays},
    }


def claim(path: Path, settings: Mapping[str, Any]) -> None:
    """Write what a folder is run with, or refuse to mix it with something else.

    Raises:
        ValueError: if the folder was started with other settings (says which).
    """
    started = read_json(path)
    if started is None:
        write_json(path, settings)
        return
    differing = [
        f"{key}: started with {started.get(key, 'nothing')}, now {settings.get(key, 'nothing')}"
        for key in sorted({*started, *settings})
        if started.get(key) != settings.get(key)
    ]
    if differing:
        raise ValueError(
            f"{path.parent} was started with other settings: {'; '.join(differing)}; choose another --output"
        )


FOLDER = OWN / "configs" / "experiments"
METADATA = "_row_"
"""Key of an overlay under which a row describes itself; MONAI's parser leaves it alone."""
DATASETS = ("brats2021", "resc", "rsna", "liverct")  # of BMAD
PUBLISHED = record(
    {"image_auroc": number(0, 100), "std": number(0, 100), "checkpoint": optional(number(0, 100)), "source": text()}
)
ROW = record(
    {"row": text(), "dataset": choice(*DATASETS)},
    {
        "table": items(text(r"[0-9]{1,3}", "the number of a table")),
        "published": PUBLISHED,
        "trained_by": text(),
        "note": text(),
    },
)
"""Schema of what a row says of itself."""
LAYOUT = "datasets/bmad"
"""Overlay of the folders in which all four data sets are published (BMAD)."""


@dataclass(frozen=True)
class Published:
    """Image AUROC in percent as published.

    image_auroc, std: mean and standard deviation over the five seeds.
    checkpoint: of the one published checkpoint, None where there is none.
    source: where the figures were read.
    """

    image_auroc: float
    std: float
    checkpoint: float | None
    source: str

    def __str__(self) -> str:
        return f"{self.image_auroc:.1f} ± {self.std:.2f}"


@dataclass(frozen=True)
class ExperimentRow:
    """One row.

    name: of the overlay's file without suffix.
    tables: numbers of the paper's tables that have this row; empty for an ablation whose table is not known here.
    row: what distinguishes it.
    dataset: one of `DATASETS`.
    published: None where the figure is not known here.
    trained_by: row whose training this one shares, because they differ in scoring alone; None for its own.
    note: what a reader has to know about it.
    """

    name: str
    tables: tuple[str, ...]
    row: str
    dataset: str
    published: Published | None
    trained_by: str | None = None
    note: str = ""

    @property
    def command(self) -> str:
        """Command that trains and evaluates this row over the published seeds."""
        return f"qfae experiments run {self.name} --data DIR --output DIR"

    def overlays(self, layout: str = LAYOUT) -> list[str]:
        """Names of the bundle's configurations for training, in the order in which they are applied."""
        return ["train", layout, f"experiments/{self.name}"]


def load_rows(*, table: str | None = None, dataset: str | None = None) -> list[ExperimentRow]:
    """All rows by table and name, or those of one table or data set.

    Raises:
        ValueError: if an overlay does not describe itself, or the data set is not one of `DATASETS`.
    """
    if dataset is not None and dataset not in DATASETS:
        raise ValueError(f"expected a data set of {', '.join(DATASETS)}, got {dataset!r}")
    files = sorted(FOLDER.glob("*.yaml"))  # a row is a file: a new one needs no code
    rows = [row for row in map(read_row, files) if table in (None, *row.tables) and dataset in (None, row.dataset)]
    return sorted(rows, key=lambda row: (_table_number(row.tables), row.name))


def find_row(name: str) -> ExperimentRow:
    """The row of that name.

    Raises:
        ValueError: if there is none.
    """
    rows = {row.name: row for row in load_rows()}
    if name not in rows:
        raise ValueError(f"expected an experiment of `qfae experiments list`, got {name!r}")
    return rows[name]


def read_row(path: Path) -> ExperimentRow:
    """The row that an overlay describes; raises ValueError if it describes none."""
    if METADATA not in (content := read_configuration(path)):
        raise ValueError(f"{path}: expected {METADATA!r} with row and dataset, got none")
    about = checked(content[METADATA], ROW, path, what=f"{METADATA!r} of an experiment")
    published = Published(**about["published"]) if "published" in about else None
    rest = {key: about[key] for key in ("trained_by", "note") if key in about}
    return ExperimentRow(path.stem, tuple(about.get("table", ())), about["row"], about["dataset"], published, **rest)


def _table_number(tables: Sequence[str]) -> int:
    return int(tables[0]) if tables else 1000  # ablations without a table come last
