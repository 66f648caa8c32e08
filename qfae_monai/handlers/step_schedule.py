"""A learning rate schedule that counts optimiser steps, which with gradient accumulation are fewer than iterations."""

from __future__ import annotations

from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch.optim.lr_scheduler import LRScheduler


def is_step(engine: SupervisedTrainer) -> bool:
    """Whether the iteration that has just been completed ended with a step of the optimiser."""
    length = engine.state.epoch_length
    done = (engine.state.iteration - 1) % length + 1  # iterations of this epoch
    return done % engine.accumulation_steps == 0 or done == length


class StepSchedule:
    """Step a schedule after each step of the optimiser.

    Args:
        lr_scheduler: made for the number of optimiser steps.
    """

    def __init__(self, lr_scheduler: LRScheduler) -> None:
        self.lr_scheduler = lr_scheduler

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        if is_step(engine):
            self.lr_scheduler.step()
