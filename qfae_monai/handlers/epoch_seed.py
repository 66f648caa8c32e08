"""Randomness of an epoch drawn from (seed, epoch, rank) alone, so that a resumed run repeats an uninterrupted one."""

from __future__ import annotations

from typing import cast

import numpy as np
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.utils import set_determinism
from torch.utils.data import DataLoader


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
        number = int(np.random.SeedSequence([self.seed, engine.state.epoch, self.rank]).generate_state(1)[0])
        set_determinism(seed=number, use_deterministic_algorithms=None)
        set_rnd(cast(DataLoader, engine.state.dataloader).dataset, seed=number)
