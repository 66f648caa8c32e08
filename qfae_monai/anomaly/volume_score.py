"""One number for a volume from the scores of its slices: a choice of ours, for the paper scores slices alone."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

SliceReduction = Literal["max", "mean", "top_k"]


class VolumeScore:
    """Score of a volume.

    Args:
        over_slices: `max`, the most abnormal slice; `top_k`, the mean of the k most abnormal ones, steadier where one
            slice may be an artefact; `mean`, of all, for changes that are everywhere.
        k: for `top_k`; a volume with fewer scored slices takes all of them.

    Raises:
        ValueError: for an unknown reduction or a k below 1.
    """

    def __init__(self, over_slices: SliceReduction = "max", k: int = 3) -> None:
        if over_slices not in ("max", "mean", "top_k"):
            raise ValueError(f"over_slices must be 'max', 'mean' or 'top_k', got {over_slices!r}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.over_slices = over_slices
        self.k = k

    def __call__(self, slice_scores: Tensor) -> Tensor:
        """slice_scores: (N,) of the slices that were scored -> scalar.

        >>> VolumeScore("top_k", k=2)(torch.tensor([1.0, 4.0, 2.0])).item()
        3.0
        """
        if self.over_slices == "mean":
            return slice_scores.mean()
        k = 1 if self.over_slices == "max" else min(self.k, len(slice_scores))
        return torch.topk(slice_scores, k).values.mean()
