"""A run's output folder, made its own before anything is read: what cannot be finished is not started."""

from __future__ import annotations

import os
from pathlib import Path

from qfae_monai.files import give_back, take
from qfae_monai.rates import check_rate
from qfae_monai.screen import guard_messages
from qfae_monai.training.ranks import gather, is_writer


def begin_output(output_dir: str | os.PathLike, **rates: float) -> None:
    """Check what a run is asked for, and keep other runs out of its output until `end_output` or the process's end.

    Called by every process of a run; one of them holds the folder.

    Args:
        output_dir: made if it is missing.
        rates: by their keys in the configuration.

    Raises:
        ValueError: for a rate that no threshold can keep, an output that another run writes into, or one that cannot
            be written to.
    """
    guard_messages()
    for name, value in rates.items():
        check_rate(name, value)
    refusal = None
    if is_writer():
        try:
            take(Path(output_dir))
        except (ValueError, OSError) as error:
            refusal = str(error)
    refused = [reason for reason in gather(refusal) if reason is not None]
    if refused:
        raise ValueError(refused[0])


def end_output(output_dir: str | os.PathLike) -> None:
    """Let other runs write into the output."""
    give_back(Path(output_dir))
