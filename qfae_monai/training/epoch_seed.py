"""Randomness of an epoch drawn from (seed, epoch, rank) alone, so that a resumed run repeats an uninterrupted one."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.transforms import Compose, Randomizable
from monai.utils import set_determinism
from torch.utils.data import DataLoader, RandomSampler


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
        number = int(np.random.SeedSequence([self.seed, engine.state.epoch, self.rank]).generate_state(1)[0])
        loader = cast(DataLoader, engine.state.dataloader)
        if loader.persistent_workers:
            self._allow_lasting_workers(loader, number)
        set_determinism(seed=number, use_deterministic_algorithms=None)
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
