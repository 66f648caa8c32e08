"""Checkpoints and metrics that are written whole, loaded, and resumed from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.handlers import CheckpointLoader as OptionalCheckpointLoader
from monai.handlers import MetricsSaver
from torch import nn

from qfae_monai.files import whole_file, write_whole
from qfae_monai.training.processes import is_writer
from qfae_monai.weights.checkpoints import is_refused_pickle, load_checkpoint, refused_pickle

# Weights of a checkpoint for an evaluation, every one of them or an error, when it starts.


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


# Resuming from a checkpoint that anyone may have written: tensors and plain values, nothing that runs.


class ResumeCheckpoint(OptionalCheckpointLoader):
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


# Checkpoints that are complete or absent, whatever ends the run while they are written.


class WholeCheckpoints:
    """Save every few epochs, to resume from, and at the end of a complete run; one process writes.

    MONAI's `CheckpointSaver` writes in place, deletes the old checkpoint before the new one is there, and may save the
    final one on errors: a process killed at the wrong moment leaves a truncated file, or nothing to resume from. Here
    files are written under another name, renamed, and only then is the old one deleted; a run that fails leaves no
    final checkpoint.

    Args:
        save_dir: folder, made if it is missing.
        save_dict: name -> object with a `state_dict`.
        save_interval: epochs from one checkpoint to the next.
        n_saved: how many of them are kept, those of earlier processes in the folder counted; older ones are removed.
        file_prefix: of `<file_prefix>_checkpoint_epoch=<N>.pt`.
        final_filename: of the checkpoint of the complete run; None for none.

    Raises:
        ValueError: when `save_interval` or `n_saved` is below 1.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike,
        save_dict: Mapping[str, Any],
        *,
        save_interval: int,
        n_saved: int = 1,
        file_prefix: str = "resume",
        final_filename: str | None = "model.pt",
    ) -> None:
        if save_interval < 1 or n_saved < 1:
            raise ValueError(f"expected save_interval and n_saved of at least 1, got {save_interval} and {n_saved}")
        self.save_dir = Path(save_dir)
        self.save_dict = dict(save_dict)
        self.save_interval = save_interval
        self.n_saved = n_saved
        self.file_prefix = file_prefix
        self.final_filename = final_filename
        name = re.escape(f"{file_prefix}_checkpoint_epoch=")
        self._ours = re.compile(rf"{name}(\d+)\.pt")
        final = "" if final_filename is None else f"|{re.escape(Path(final_filename).stem)}"
        self._unfinished = re.compile(rf"({name}\d+{final})\.part")
        self._saved: list[Path] = []  # of this run, the oldest first

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.save_interval), self._save)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _save(self, engine: Engine) -> None:
        path = self._write(f"{self.file_prefix}_checkpoint_epoch={engine.state.epoch}.pt")
        self._saved = [one for one in self._saved if one != path] + [path]
        self._remove_older()

    def _finish(self, engine: Engine) -> None:
        if self.final_filename is not None:
            self._write(self.final_filename)
        self._remove_older()

    def _remove_older(self) -> None:
        """Remove old checkpoints; those of this run count as newer than others in the folder, whatever their epoch."""
        if not is_writer():
            return
        found = {path: match for path in self.save_dir.iterdir() if (match := self._ours.fullmatch(path.name))}
        # by epoch, the oldest first
        earlier = sorted(found.keys() - set(self._saved), key=lambda path: int(found[path][1]))
        for path in [*earlier, *self._saved][: -self.n_saved]:
            path.unlink(missing_ok=True)
        self._saved = self._saved[-self.n_saved :]
        for path in self.save_dir.iterdir():
            if self._unfinished.fullmatch(path.name):  # of a process that was killed; our own has been renamed
                path.unlink(missing_ok=True)

    def _write(self, name: str) -> Path:
        path = self.save_dir / name
        if is_writer():
            with whole_file(path) as partial:
                torch.save({key: part.state_dict() for key, part in self.save_dict.items()}, partial)
        return path


# MONAI's `metrics.csv`, whole or absent: its own handler writes into the file in place.


class WholeMetrics(MetricsSaver):
    """MONAI's `MetricsSaver`, whose files take their place when they are complete; arguments are its own."""

    def __call__(self, engine: Engine) -> None:
        """Called by every process; one of them writes."""
        target = self.save_dir
        with TemporaryDirectory(prefix="qfae-") as folder:
            self.save_dir = folder
            try:
                super().__call__(engine)
            finally:
                self.save_dir = target
            for path in sorted(Path(folder).iterdir()):
                write_whole(Path(target) / path.name, path.read_bytes())
