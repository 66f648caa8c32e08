"""Output of an evaluator as a metric takes it, and the start and end of a run's output folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qfae_monai.files import give_back, take
from qfae_monai.files.typed_words import check_words
from qfae_monai.rates import check_rate
from qfae_monai.screen import guard_messages
from qfae_monai.training.processes import gather, is_writer

Output = Sequence[Mapping[str, Any]]


def from_slices(
    score_key: str = "slice_scores", label_key: str = "slice_labels"
) -> Callable[[Output], tuple[Tensor, Tensor]]:
    """Scores and labels (N,) of all slices; the score of one that was skipped and a label that is unknown are NaN."""

    def transform(output: Output) -> tuple[Tensor, Tensor]:
        scores, labels = (
            torch.cat([plain(item[key]).reshape(-1) for item in output]) for key in (score_key, label_key)
        )
        return scores, labels

    return transform


def from_volumes(
    score_key: str = "score", label_key: str = "volume_label"
) -> Callable[[Output], tuple[Tensor, Tensor]]:
    """Scores and labels (N,) of whole images or volumes; an unknown label is NaN."""

    def transform(output: Output) -> tuple[Tensor, Tensor]:
        scores, labels = (torch.cat([plain(item[key]).reshape(1) for item in output]) for key in (score_key, label_key))
        return scores, labels

    return transform


def from_pixels(
    map_key: str, label_key: str = "label", axis: int = 2
) -> Callable[[Output], tuple[list[Tensor], list[Tensor]]]:
    """Map values and labels (N,) of all pixels of the slices that were scored, of each case that has a mask.

    A metric of ignite takes such lists case by case.
    """

    def transform(output: Output) -> tuple[list[Tensor], list[Tensor]]:
        masked = [item for item in output if item.get(label_key) is not None]
        values, labels = ([scored_part(item, key, axis).reshape(-1) for item in masked] for key in (map_key, label_key))
        return values, labels

    return transform


def scored_slices(item: Mapping[str, Any], key: str, axis: int) -> Tensor:
    """A map (1, X, Y, Z) or (1, H, W) of one case -> (N, H, W), the slices that were scored; memory stays in order."""
    values = scored_part(item, key, axis)
    return values[None] if values.dim() == 2 else values.movedim(axis, 0)


def scored_part(item: Mapping[str, Any], key: str, axis: int) -> Tensor:
    """A map (1, X, Y, Z) of one case without the slices along `axis` that were not scored; (1, H, W) -> (H, W)."""
    values = plain(item[key])[0]
    if values.dim() == 2:
        return values
    scored = np.flatnonzero(~np.isnan(plain(item["slice_scores"]).reshape(-1).numpy()))
    return torch.from_numpy(np.take(values.numpy(), scored, axis))  # torch's own takes several times as long


def plain(value: Any) -> Tensor:
    """Any tensor, MetaTensor or number as a tensor on the CPU."""
    return torch.as_tensor(value).as_subclass(Tensor).detach().cpu()


# A run's output folder, made its own before anything is read: what cannot be finished is not started.


def begin_output(output_dir: str | os.PathLike, **rates: float) -> None:
    """Check what a run is asked for, and keep other runs out of its output until `end_output` or the process's end.

    Called by every process of a run; one of them holds the folder.

    Args:
        output_dir: made if it is missing.
        rates: by their keys in the configuration.

    Raises:
        ValueError: for a word that MONAI's command line reads as text, a rate that no threshold can keep, an output
            that another run writes into, or one that cannot be written to.
    """
    guard_messages()
    check_words(sys.argv)
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
