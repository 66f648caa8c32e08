"""Rivals as a list for the screen: names, rows of the paper's Table 5, needs; and those that no library offers."""

from __future__ import annotations

from collections.abc import Iterator

from qfae_monai.experiments.rivals.catalogue import METHODS, NOT_OFFERED, QFAE


def format_methods() -> str:
    """One line for each rival, and one for each method of the paper that cannot be run."""
    rows = [("NAME", "TABLE 5", "LIBRARY", "NEEDS", "WHAT"), *_rows()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]
    missing = [f"  {name}: {why}" for name, why in NOT_OFFERED.items()]
    return "\n".join([*lines, "", "In the paper's Table 5, and offered by no library:", *missing])


def _rows() -> Iterator[tuple[str, ...]]:
    yield QFAE, "QFAE", "qfae", "-", "the Q-Former Autoencoder, trained or given by --model"
    for one in METHODS.values():
        yield one.name, one.paper or "-", one.library, one.needs or "-", one.title
