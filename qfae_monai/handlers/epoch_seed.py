"""Randomness of an epoch drawn from (seed, epoch, rank) alone, so that a resumed run repeats an uninterrupted one."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.utils import set_determinism


class EpochSeed:
    """At the start of each epoch seed torch, numpy and the random transforms of the training data.

    Args:
        seed: of the run.
        rank: of this process, so that ranks augment differently.
    """

    def __init__(self, seed: int, rank: int = 0) -> None:
        self.seed = seed
        self.rank = rank

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        number = int(
            torch.tensor([self.seed, engine.state.epoch, self.rank]).mul(torch.tensor([1_000_003, 9_973, 101])).sum()
        )
        set_determinism(seed=number % 2**31, use_deterministic_algorithms=None)
        set_rnd(engine.state.dataloader.dataset, seed=number % 2**31)
