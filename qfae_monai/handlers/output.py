"""From an evaluator's output, a list of dictionaries, to what a metric takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Output = Sequence[Mapping[str, Any]]


def from_slices(score_key: str, label_key: str = "slice_labels") -> Callable[[Output], tuple[Tensor, Tensor]]:
    """Scores and labels (N,) of all slices that were scored; skipped ones have the score NaN and are left out."""

    def transform(output: Output) -> tuple[Tensor, Tensor]:
        scored = [~torch.isnan(_plain(item["slice_scores"])) for item in output]
        pairs = [
            [_plain(item[key])[kept] for item, kept in zip(output, scored, strict=True)]
            for key in (score_key, label_key)
        ]
        return torch.cat(pairs[0]), torch.cat(pairs[1])

    return transform


def from_volumes(
    score_key: str = "score", label_key: str = "volume_label"
) -> Callable[[Output], tuple[Tensor, Tensor]]:
    """Scores and labels (N,) of whole images or volumes."""

    def transform(output: Output) -> tuple[Tensor, Tensor]:
        scores, labels = ([_plain(item[key]).reshape(1) for item in output] for key in (score_key, label_key))
        return torch.cat(scores), torch.cat(labels)

    return transform


def from_pixels(map_key: str, label_key: str = "label", axis: int = 2) -> Callable[[Output], tuple[Tensor, Tensor]]:
    """Map values and labels (N,) of all pixels of the slices that were scored."""

    def transform(output: Output) -> tuple[Tensor, Tensor]:
        parts: list[tuple[Tensor, Tensor]] = []
        for item in output:
            values, labels = (_plain(item[key])[0] for key in (map_key, label_key))
            if values.dim() == 3:
                kept = ~torch.isnan(_plain(item["slice_scores"]))
                values, labels = (part.movedim(axis, 0)[kept] for part in (values, labels))
            parts.append((values.reshape(-1), labels.reshape(-1)))
        return torch.cat([values for values, _ in parts]), torch.cat([labels for _, labels in parts])

    return transform


def _plain(value: Any) -> Tensor:
    return torch.as_tensor(value).as_subclass(Tensor).detach().cpu()
