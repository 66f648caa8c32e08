"""Stands for a machine that fails: a handler that ends one process of a run in the middle of an epoch."""

from __future__ import annotations

import os

from ignite.engine import Engine, Events


class DyingRank:
    """End this process without a word, as a kill does, after the first batch of an epoch, if it is the rank named."""

    def __init__(self, rank: int, dies: int, epoch: int) -> None:
        self.is_it = rank == dies
        self.epoch = epoch

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if self.is_it and engine.state.epoch == self.epoch:
            os._exit(17)
