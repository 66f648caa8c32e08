"""Pixel-level average precision and AUROC in memory that does not grow with the test set, summed over ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

KEPT_BITS = 20
"""Of a float32: sign, exponent and 11 bits of the mantissa; scores closer than 1 in 2000 are counted as equal."""


class PixelRanking(Metric):
    """How well a map ranks lesion pixels above others, from two histograms of its values.

    Bins are the leading bits of the float32 itself, so they are fine at every scale; scikit-learn does the rest, each
    bin weighted by its count.

    Args:
        measure: `average_precision` or `roc_auc`.
        output_transform: engine output -> (scores, labels), two tensors of any equal shape; label > 0 is lesion.

    Raises:
        ValueError: for an unknown measure; at the end of a run without both kinds of pixels.
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
        self._counts = torch.zeros(2, 2**KEPT_BITS, dtype=torch.int64, device=self._device)

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        scores, labels = (part.detach().reshape(-1).to(self._device) for part in output)
        bins = _ordered_bins(scores)
        for kind in (0, 1):
            self._counts[kind] += torch.bincount(bins[(labels > 0) == bool(kind)], minlength=2**KEPT_BITS)

    @sync_all_reduce("_counts")
    def compute(self) -> float:
        normal, lesion = self._counts.cpu().numpy()
        if not normal.any() or not lesion.any():
            raise ValueError(
                f"expected pixels with and without lesion, got {normal.sum()} normal and {lesion.sum()} lesion"
            )
        used = (normal + lesion).nonzero()[0]
        labels = [0] * len(used) + [1] * len(used)
        ranks = [*used, *used]
        weights = [*normal[used], *lesion[used]]
        score = average_precision_score if self.measure == "average_precision" else roc_auc_score
        return float(score(labels, ranks, sample_weight=weights))


def _ordered_bins(scores: Tensor) -> Tensor:
    """float32 -> bin numbers in the same order: the bit pattern, with negative numbers turned around."""
    bits = scores.float().contiguous().view(torch.int32).long()
    ordered = torch.where(bits < 0, -(bits + 2**31) - 1, bits) + 2**31
    return ordered >> (32 - KEPT_BITS)
