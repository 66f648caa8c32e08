"""A CSV with one row a slice: what a reader sorts by, and what a statistician starts from."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path
from typing import Any, cast

import torch
from ignite.engine import Engine, Events
from monai.utils import string_list_all_gather

from qfae_monai.transforms.slice_summary import TRIVIAL_FEATURES

COLUMNS = ("case", "slice", "score", "label", *TRIVIAL_FEATURES)


class ScoreTable:
    """Write `case, slice, score, label` and the trivial features of every scored slice when a run is complete.

    The label is empty where there is no mask. Rows of all ranks are gathered; the file is complete or absent.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._rows: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI evaluator."""
        engine.add_event_handler(Events.STARTED, lambda _: self._rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Engine) -> None:
        for batch, output in zip(cast(list, engine.state.batch), cast(list, engine.state.output), strict=True):
            found: dict[str, Any] = {**batch, **output}
            scores = torch.as_tensor(found["slice_scores"]).reshape(-1).tolist()
            labels = found.get("slice_labels")
            for number, score in enumerate(scores):
                if math.isnan(score):  # skipped
                    continue
                trivial = [f"{float(found[f'trivial_{name}'][number]):.6g}" for name in TRIVIAL_FEATURES]
                label = "" if labels is None else str(int(labels[number]))
                self._rows.append("\t".join([str(found["case"]), str(number), f"{score:.6g}", label, *trivial]))

    def _write(self, engine: Engine) -> None:
        rows = string_list_all_gather(self._rows)
        if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".part")
        with unfinished.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *(row.split("\t") for row in rows)])
        unfinished.replace(self.path)
