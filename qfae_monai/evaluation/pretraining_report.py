"""A pretraining as one self-contained page: losses and figures over the epochs, the card, the images to look at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from markupsafe import Markup

from qfae_monai.evaluation.figures import curve_figure
from qfae_monai.evaluation.rendering import write_page
from qfae_monai.files import read_rows, reading_as
from qfae_monai.pretraining.card import read_card_file
from qfae_monai.training.processes import is_writer

__all__ = ["PretrainingReport", "write_pretraining_page"]

TITLES = {
    "train_loss": "loss on training images",
    "val_loss": "loss on held-out images",
    "shared_information": "information that two views of a held-out image share (nats)",
    "teacher_information": "information of the teacher's assignment (nats)",
    "neighbour_score": "nearest-neighbour score of held-out images",
    "spread_over_images": "spread of features over images",
    "spread_over_patches": "spread of features over patches",
}
"""Columns of `curves.csv` in the order in which they are drawn."""


class PretrainingReport:
    """Write `report.html` when a run is complete, behind the handlers that write its tables, weights and card.

    Args:
        folder: of `curves.csv` and `flagged.csv`; the page comes beside them.
        weights: the file whose card is beside it.
    """

    def __init__(self, folder: str | os.PathLike, weights: str | os.PathLike) -> None:
        self.folder, self.weights = Path(folder), Path(weights)

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if is_writer():
            write_pretraining_page(self.folder, self.weights)


def write_pretraining_page(folder: Path, weights: Path) -> Path:
    """Write `report.html` from `curves.csv`, `flagged.csv` and the card, whole or not at all.

    Args:
        folder: of both tables.
        weights: file whose card is beside it.

    Raises:
        FileNotFoundError: if one of them is missing.
        ValueError: if one is not what a pretraining writes; the message names it.
    """
    curves, card = folder / "curves.csv", weights.with_suffix(".json")
    with reading_as("the losses of a pretraining", curves):
        rows = read_rows(curves, ("epoch",))
        plots = [(title, plot) for name, title in TITLES.items() if (plot := _plot(rows, name, title))]
    with reading_as("the card of a pretraining", card):
        return write_page(
            folder / "report.html",
            "pretraining.html.jinja",
            card=read_card_file(card),
            plots=plots,
            flagged=read_rows(folder / "flagged.csv", ("case", "slice", "score", "ratio")),
        )


def _plot(rows: list[dict[str, Any]], name: str, title: str) -> Markup:
    """Nothing where the run has no such column."""
    points = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
    return curve_figure([epoch for epoch, _ in points], [value for _, value in points], name, title)
