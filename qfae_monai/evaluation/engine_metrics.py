"""Metrics that MONAI lacks: AUROC of labelled items, and ranking of pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from monai.metrics import ROCAUCMetric
from monai.metrics.rocauc import compute_roc_auc
from torch import Tensor

from qfae_monai.evaluation.histogram import MapHistogram
from qfae_monai.training.processes import gather

# Area under the ROC curve of what has a score and a label, on MONAI's metric.


class LabelledROCAUC(ROCAUCMetric):
    """MONAI's AUROC of the scores whose label is known; NaN, with a warning, where there are not both labels.

    Scores and labels that are NaN are left out at the end, not before: each process adds as many as it was given, so
    that all meet when they are gathered.

    Example:
        >>> metric = LabelledROCAUC()
        >>> nan = float("nan")
        >>> _ = metric(torch.tensor([0.1, 0.9, 0.5, nan]), torch.tensor([0.0, 1.0, nan, 1.0]))
        >>> metric.aggregate()
        1.0
    """

    def aggregate(self, average: Any = None) -> float:
        """AUROC in [0, 1] of all that was added."""
        scores, labels = (torch.as_tensor(part).reshape(-1) for part in self.get_buffer())
        known = ~(torch.isnan(scores) | torch.isnan(labels))
        scores, labels = scores[known], labels[known]
        abnormal = int((labels > 0).sum())
        if not 0 < abnormal < len(labels):
            warnings.warn(
                f"AUROC is undefined: expected normal and abnormal labels, got {len(labels) - abnormal} normal and "
                f"{abnormal} abnormal",
                stacklevel=2,
            )
            return float("nan")
        area: Any = compute_roc_auc(scores, labels)  # a number, as there is one class
        return float(area)


# Pixel-level average precision and AUROC in memory that does not grow with the test set, merged over ranks.


class PixelRanking(Metric):
    """Ranking of lesion pixels above others by a map, from the merged `MapHistogram` of all that was added.

    Without both kinds of pixels the result is NaN, with a warning.

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
        self._pixels = MapHistogram.merge([])

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        scores, labels = (part.detach().reshape(-1).cpu() for part in output)
        found = MapHistogram.fitted(scores.float().numpy(), labels.numpy() > 0)
        self._pixels = MapHistogram.merge([self._pixels, found])

    def compute(self) -> float:
        pixels = MapHistogram.merge(gather(self._pixels))
        normal, lesion = int(pixels.normal.sum()), int(pixels.lesion.sum())
        if not (normal and lesion):
            warnings.warn(
                f"pixel {self.measure} is undefined: expected pixels with and without lesion, got {normal} "
                f"normal and {lesion} lesion",
                stacklevel=2,
            )
        return pixels.average_precision() if self.measure == "average_precision" else pixels.auroc()
