"""A learning rate schedule that counts optimiser steps, which with gradient accumulation are fewer than iterations."""

from __future__ import annotations

import logging
import math

from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch.optim.lr_scheduler import LRScheduler

logger = logging.getLogger(__name__)


def is_step(engine: SupervisedTrainer) -> bool:
    """Whether the iteration that has just been completed ended with a step of the optimiser."""
    length = engine.state.epoch_length
    done = (engine.state.iteration - 1) % length + 1  # iterations of this epoch
    return done % engine.accumulation_steps == 0 or done == length


class StepSchedule:
    """Step a schedule after each step of the optimiser; behind its end, the last rate stays.

    A training goes on behind it where its epochs were raised later: MONAI's federated client does so in every round.

    Args:
        lr_scheduler: made for the number of optimiser steps.
    """

    def __init__(self, lr_scheduler: LRScheduler) -> None:
        self.lr_scheduler = lr_scheduler
        self.end: float = getattr(lr_scheduler, "total_steps", math.inf)
        self.kept = 0

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        if not is_step(engine):
            return
        if self.lr_scheduler.last_epoch + 1 < self.end:
            self.lr_scheduler.step()
            return
        self.kept += 1
        if self.kept == 2:  # the last step of a training needs no next rate
            expected = "expected a schedule of all its epochs (schedule_epochs)"
            logger.warning(
                "the training goes on behind its schedule of %s steps at its last rate: %s", self.end, expected
            )
