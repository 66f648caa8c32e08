"""Information in the assignments of self-distillation about an image: zero once the network has collapsed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from torch import Tensor

Pairs = tuple[Tensor, Tensor]
"""Probabilities (..., K), and the logarithm (..., K) of what is to say the same."""


class AssignmentInformation(Metric):
    """Entropy of the mean assignment minus the mean cross entropy of one assignment and another, in nats.

    Of an assignment and itself it is the mutual information of image and prototype. Both ways in which
    self-distillation collapses end at 0: one prototype for all images, and all prototypes alike for each image. Of two
    views of an image it is a lower bound of what they share, which falls where a loss does not tell: when all look
    alike.

    Args:
        pairs: a MONAI evaluator's prediction -> two tensors (..., K), see `Pairs`.
    """

    def __init__(self, pairs: Callable[[Any], Pairs]) -> None:
        super().__init__(output_transform=lambda output: pairs(output["pred"]))

    @reinit__is_reduced
    def reset(self) -> None:
        self._sum: Tensor | float = 0.0
        self._cross_entropy: Tensor | float = 0.0
        self._count = 0

    @reinit__is_reduced
    def update(self, output: Pairs) -> None:
        found, other = (part.detach().flatten(0, -2).double() for part in output)
        self._sum = self._sum + found.sum(dim=0)
        self._cross_entropy = self._cross_entropy - (found * other).sum()
        self._count += len(found)

    @sync_all_reduce("_sum", "_cross_entropy", "_count")
    def compute(self) -> float:
        if not self._count:
            raise ValueError("expected held-out images to see what is said of them, got none")
        mean = torch.as_tensor(self._sum) / self._count
        return float(torch.special.entr(mean).sum() - self._cross_entropy / self._count)
