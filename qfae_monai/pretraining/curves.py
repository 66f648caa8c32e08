"""`curves.csv`: what became of losses and figures over the epochs of a pretraining."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from qfae_monai.files import csv_text, write_whole
from qfae_monai.training.batch_output import loss_of
from qfae_monai.training.ranks import is_writer

Row = dict[str, Any]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV whole or not at all; a column for each name that any row has, floats with six digits."""
    kept = list(rows)
    columns = list(dict.fromkeys(name for row in kept for name in row))
    write_whole(path, csv_text([columns, *([_cell(row.get(name)) for name in columns] for row in kept)]))


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


class Curves:
    """One row per epoch: `epoch`, `train_loss`, and the evaluator's metrics where it ran.

    `train_loss`, the mean over this process's batches, becomes a metric of the trainer for handlers behind this one.
    Has a state, so that a resumed run goes on with the rows of the run before.

    Args:
        path: of the CSV, written anew after each epoch by one process.
        evaluator: whose metrics are kept; it runs before, in the trainer's same event.
        interval: epochs from one of its runs to the next.
    """

    def __init__(self, path: str | os.PathLike, *, evaluator: Engine, interval: int) -> None:
        self.path, self.evaluator, self.interval = Path(path), evaluator, interval
        self.rows: list[Row] = []
        self._losses: list[Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer, behind its `ValidationHandler`."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._losses.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._add)

    def state_dict(self) -> dict[str, list[Row]]:
        """Rows to store in a checkpoint."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state: Mapping[str, list[Row]]) -> None:
        """Go on from a checkpoint."""
        self.rows = [dict(row) for row in state["rows"]]

    def _keep(self, engine: Engine) -> None:
        self._losses.append(loss_of(engine.state.output).detach())  # no wait for the device

    def _add(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        engine.state.metrics["train_loss"] = torch.stack(self._losses).double().mean().item()
        row: Row = {"epoch": epoch, **engine.state.metrics}
        if epoch % self.interval == 0:
            row |= {name: float(value) for name, value in self.evaluator.state.metrics.items()}
        self.rows.append(row)
        if is_writer():
            write_rows(self.path, self.rows)
