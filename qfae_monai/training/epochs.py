"""Events by epoch or step: the interval of handlers, the length and the seed of an epoch, the learning rate."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.engines import SupervisedTrainer
from monai.transforms import Compose, Randomizable
from monai.utils import set_determinism
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, RandomSampler

# Interval for handlers: ignite's event filter as a function that configurations can name.


def every(interval: int) -> Callable[[Any, int], bool]:
    """Event filter of every `interval`-th event, for MONAI's `StatsHandler(iteration_log=...)`.

    Raises:
        ValueError: if `interval` is below 1.

    >>> [event for event in range(1, 7) if every(3)(None, event)]
    [3, 6]
    """
    if interval < 1:
        raise ValueError(f"interval must be at least 1, got {interval}")
    return lambda engine, event: event % interval == 0


# A resumed run must have the epochs of the run it goes on with: their number of batches is in the schedule.


class EpochLengthCheck:
    """Refuse to resume with another number of batches an epoch: learning rates would no longer end with the run."""

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """
        Raises:
            ValueError: when the engine's epoch, as its checkpoint has it, is not one pass over its data.
        """
        before, now = engine.state.epoch_length, len(cast(DataLoader, engine.state.dataloader))
        if before != now:
            raise ValueError(
                f"expected {before} batches an epoch, as in the run that is resumed, got {now}: resume with the same "
                "data, batch_size and number of processes"
            )


# Randomness of an epoch drawn from (seed, epoch, rank) alone, so that a resumed run repeats an uninterrupted one.


class EpochSeed:
    """At the start of each epoch seed torch, numpy, and the random transforms of training data and `prepare_batch`.

    Workers of the data loader take their seed from torch when they start, so they must start with each epoch.

    Args:
        seed: of the run.
        rank: of this process, so that ranks augment differently.

    Raises:
        ValueError: at an epoch's start, when random transforms run in workers that outlive an epoch.
    """

    def __init__(self, seed: int, rank: int = 0) -> None:
        self.seed = seed
        self.rank = rank

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        number = int(np.random.SeedSequence([self.seed, engine.state.epoch, self.rank]).generate_state(1)[0])  # 32 bits
        loader = cast(DataLoader, engine.state.dataloader)
        if loader.persistent_workers:
            self._allow_lasting_workers(loader, number)
        set_determinism(seed=number, use_deterministic_algorithms=None)  # None: that switch stays as the run has it
        set_rnd(loader.dataset, seed=number)
        set_rnd(getattr(engine, "prepare_batch", None), seed=number)

    @staticmethod
    def _allow_lasting_workers(loader: DataLoader, number: int) -> None:
        """Keep the loader off torch's generator, from which workers take a number when they start, but not after."""
        if _is_random(loader.dataset):
            raise ValueError(
                "expected persistent_workers False where the data's transforms are random, got True: such workers are "
                "not seeded anew each epoch. Augment on the device (device_augmentation.json), or let them start anew"
            )
        loader.generator = torch.Generator().manual_seed(number)
        if isinstance(loader.sampler, RandomSampler):
            loader.sampler.generator = torch.Generator().manual_seed(number)


def _is_random(dataset: Any) -> bool:
    transforms = Compose(getattr(dataset, "transform", None)).flatten().transforms
    return any(isinstance(transform, Randomizable) for transform in transforms)


# A learning rate schedule that counts optimiser steps, which with gradient accumulation are fewer than iterations.

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
        # optimiser steps; infinite for a schedule that has no last one
        self.end: float = getattr(lr_scheduler, "total_steps", math.inf)
        self.kept = 0  # steps behind the end

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        if not is_step(engine):
            return
        if self.lr_scheduler.last_epoch + 1 < self.end:  # torch calls the steps of a schedule epochs
            self.lr_scheduler.step()
            return
        self.kept += 1
        if self.kept == 2:  # the last step of a training needs no next rate
            expected = "expected a schedule of all its epochs (schedule_epochs)"
            logger.warning(
                "the training goes on behind its schedule of %s steps at its last rate: %s", self.end, expected
            )
