"""Output of a training step, and a guard that reads it: a loss that is no number, or one that rises again."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch import Tensor
from torch.nn import Parameter

# Output of a training step as MONAI's handlers read it: a list of dictionaries, here one for the whole batch.


class BatchOutput:
    """Put the trainer's output into a list, which `monai.handlers.from_engine(['loss'], first=True)` expects.

    It stands in for `decollate`, which takes a batch of images apart and waits for the device at every iteration.
    """

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        state.output = state.output if isinstance(state.output, list) else [state.output]


def loss_of(output: Any) -> Tensor:
    """The loss of a trainer's output, listed or not; on its device."""
    first = output[0] if isinstance(output, list) else output
    return first["loss"]


logger = logging.getLogger(__name__)

RISE = 10.0
"""How many times its lowest mean so far a loss may reach before it is said."""


class TrainingGuard:
    """End a training whose loss or weights are no longer finite, and warn of one whose loss rises tenfold.

    Losses stay on the device and are read together every `interval` iterations and when an epoch ends: each reading
    waits for a GPU. Attach before the handler that saves checkpoints, so that it never saves such weights.

    Args:
        parameters: that are trained.
        checkpoint_dir: where resumable checkpoints lie, of which an error names the newest.
        interval: iterations from one reading to the next.

    Attributes:
        warnings: sentences about the run so far.

    Raises:
        ValueError: while the engine runs, with the iteration from which on the loss or the weights are not finite.
    """

    def __init__(self, parameters: Iterable[Parameter], checkpoint_dir: str | os.PathLike, *, interval: int) -> None:
        self.parameters = list(parameters)
        self.checkpoint_dir = Path(checkpoint_dir)
        self.interval = interval
        self.warnings: list[str] = []
        self._losses: list[Tensor] = []  # scalars on the device, since the last reading
        self._lowest = math.inf  # of the means of all readings so far

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.interval), self._read)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._read)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._check_weights)

    def _keep(self, engine: Engine) -> None:
        self._losses.append(torch.as_tensor(loss_of(engine.state.output)).detach().float())

    def _read(self, engine: Engine) -> None:
        if not self._losses:
            return
        losses = torch.stack(self._losses).tolist()  # one for each iteration since the last reading
        self._losses.clear()
        for place, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise self._ended(engine, engine.state.iteration - len(losses) + 1 + place, f"the loss is {loss}")
        mean = sum(losses) / len(losses)
        if mean > RISE * self._lowest and not self.warnings:
            self._warn(
                f"The training loss rose from {self._lowest:.3g} to {mean:.3g} (iteration {engine.state.iteration}): "
                "expected one that falls; lower learning_rate"
            )
        self._lowest = min(self._lowest, mean)

    def _check_weights(self, engine: Engine) -> None:
        with torch.no_grad():
            # a scalar on the device: one wait for all weights
            finite = torch.stack([parameter.isfinite().all() for parameter in self.parameters]).all()
        if not bool(finite):
            raise self._ended(engine, engine.state.iteration, "weights are not finite")

    def _ended(self, engine: Engine, iteration: int, what: str) -> ValueError:
        saved = sorted(self.checkpoint_dir.glob("resume*.pt"), key=lambda path: path.stat().st_mtime)
        last = f"the last good checkpoint is {saved[-1]} (--resume)" if saved else "no checkpoint was saved before"
        return ValueError(
            f"training ended at iteration {iteration} (epoch {engine.state.epoch}): expected finite numbers, got: "
            f"{what}; {last}. Lower learning_rate, or set precision to float32"
        )

    def _warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
        logger.warning(sentence)
