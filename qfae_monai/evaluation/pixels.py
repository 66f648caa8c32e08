"""Pixel-level average precision and AUROC in memory that does not grow with the test set, summed over ranks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from torch import Tensor

from qfae_monai.evaluation import counts
from qfae_monai.evaluation.histogram import FINE_BITS, ordered_bins


class PixelRanking(Metric):
    """Ranking of lesion pixels above others by a map, from two histograms of its values.

    Bins are those of `MapHistogram`, kept densely so that ranks can be summed. Without both kinds of pixels the
    result is NaN, with a warning.

    Args:
        measure: `average_precision` or `roc_auc`.
        output_transform: engine output -> (scores, labels), two tensors of any equal shape; label > 0 is lesion.

    Raises:
        ValueError: for an unknown measure, or NaN or infinite map values.
    """

    def __init__(
        self,
        measure: str = "average_precision",
        output_transform: Callable[[Any], tuple[Tensor, Tensor]] = lambda output: output,
        device: str | torch.device = "cpu",
    ) -> None:
        if measure not in ("average_precision", "roc_auc"):
            raise ValueError(f"measure must be 'average_precision' or 'roc_auc', got {measure!r}")
        self.measure = measure
        super().__init__(output_transform=output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        self._counts = torch.zeros(2, 2**FINE_BITS, dtype=torch.int64, device=self._device)

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        scores, labels = (part.detach().reshape(-1).cpu() for part in output)
        bins, lesion = ordered_bins(scores.float().numpy()), labels.numpy() > 0
        for kind in (0, 1):
            found = np.bincount(bins[lesion == bool(kind)], minlength=2**FINE_BITS)
            self._counts[kind] += torch.from_numpy(found).to(self._device)

    @sync_all_reduce("_counts")
    def compute(self) -> float:
        normal, lesion = self._counts.cpu().numpy()
        if not normal.any() or not lesion.any():
            warnings.warn(
                f"pixel {self.measure} is undefined: expected pixels with and without lesion, got {normal.sum()} "
                f"normal and {lesion.sum()} lesion",
                stacklevel=2,
            )
        score = counts.average_precision if self.measure == "average_precision" else counts.auroc
        return float(score(normal, lesion))
