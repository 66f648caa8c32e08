"""Resuming from a checkpoint that anyone may have written: tensors and plain values, nothing that runs."""

from __future__ import annotations

from ignite.engine import Engine
from monai.handlers import CheckpointLoader

from qfae_monai.weights.checkpoints import is_refused_pickle, refused_pickle


class ResumeCheckpoint(CheckpointLoader):
    """MONAI's `CheckpointLoader`, whose refusal says what the file holds and not how to run it.

    Raises:
        ValueError: at the start of a run, if the file is damaged or holds objects that only code can make.
    """

    def __call__(self, engine: Engine) -> None:
        try:
            super().__call__(engine)
        except Exception as error:
            if is_refused_pickle(error):
                raise refused_pickle(self.load_path, error) from None
            raise
