"""Weights of a checkpoint for an evaluation, every one of them or an error, when it starts."""

from __future__ import annotations

import os

from ignite.engine import Engine, Events
from torch import nn

from qfae_monai.weights.checkpoints import load_checkpoint

__all__ = ["CheckpointLoader"]


class CheckpointLoader:
    """Load a checkpoint as `qfae_monai.weights.load_checkpoint` does, when the engine first starts, and no later.

    MONAI's federated client disables what is called a checkpoint loader: its weights come from the server.

    Args:
        network: what is filled.
        load_path: file of the checkpoint.
    """

    def __init__(self, network: nn.Module, load_path: str | os.PathLike) -> None:
        self.network, self.load_path = network, load_path
        self.done = False

    def attach(self, engine: Engine) -> None:
        """Register with an engine."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        if not self.done:
            load_checkpoint(self.network, self.load_path)
        self.done = True
