"""A table of a paper, as CSV with every digit and as LaTeX with three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.paper.latex import latex_table
from qfae_monai.files import write_csv, write_whole

REASON = "reason"
"""Column that says why there is no interval: a sentence, which the CSV alone has room for."""


@dataclass(frozen=True)
class PaperTable:
    """Rows below a header.

    Attributes:
        name: of its files, without suffix.
        caption: plain text that says what the figures are, what the interval is and what n counts.
        header: names of the columns.
        rows: numbers and texts, None where undefined.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    @property
    def latex(self) -> str:
        """As LaTeX, without the reasons."""
        kept = [place for place, name in enumerate(self.header) if name != REASON]
        rows = [[row[place] for place in kept] for row in self.rows]
        return latex_table(self.name, self.caption, [self.header[place] for place in kept], rows)


def write_tables(folder: Path, tables: Sequence[PaperTable]) -> None:
    """Write `<name>.csv` and `<name>.tex` of every table that has rows: all of them, or none.

    Files that an earlier run left under these names are removed first, so that none stays beside figures that are not
    its own; other files in the folder stay.
    """
    clear_tables(folder, tables)
    ready = [(folder / table.name, table, table.latex) for table in tables if table.rows]
    try:
        for path, table, latex in ready:
            write_csv(path.with_suffix(".csv"), table.header, table.rows)
            write_whole(path.with_suffix(".tex"), latex)
    except BaseException:
        clear_tables(folder, tables)
        raise


def clear_tables(folder: Path, tables: Sequence[PaperTable]) -> None:
    """Remove the files that `write_tables` makes."""
    for table in tables:
        for suffix in (".csv", ".tex"):
            (folder / f"{table.name}{suffix}").unlink(missing_ok=True)


def measured(value: dict[str, Any]) -> tuple[Any, ...]:
    """Cells of an interval, for the columns `MEASURED`."""
    return value["value"], value["low"], value["high"], value["smaller_class"], value["reason"]


MEASURED = ("value", "low", "high", "n", REASON)
