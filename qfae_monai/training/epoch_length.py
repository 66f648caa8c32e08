"""A resumed run must have the epochs of the run it goes on with: their number of batches is in the schedule."""

from __future__ import annotations

from typing import cast

from ignite.engine import Engine, Events
from torch.utils.data import DataLoader


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
