"""Area under the ROC curve of what has a score and a label, on MONAI's metric."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from monai.metrics import ROCAUCMetric
from monai.metrics.rocauc import compute_roc_auc

__all__ = ["LabelledROCAUC"]


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
