"""A training's output as MONAI's trackers read it: a list of dictionaries, here one for the whole batch."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from monai.engines import IterationEvents
from torch import Tensor

__all__ = ["BatchOutput", "loss_of"]


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
