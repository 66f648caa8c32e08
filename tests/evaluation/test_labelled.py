"""AUROC of what has a label: scikit-learn's where both labels are there, NaN where they are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from qfae_monai.evaluation import LabelledROCAUC

NAN = math.nan


def test_what_is_unknown_is_left_out() -> None:
    rng = np.random.default_rng(3)
    scores, labels = rng.normal(size=40), rng.integers(0, 2, 40).astype(float)
    metric = LabelledROCAUC()
    for part in range(4):  # a batch at a time, one of unknown labels alone, and scores that were skipped
        metric(torch.tensor(scores[10 * part : 10 * part + 10]), torch.tensor(labels[10 * part : 10 * part + 10]))
        metric(torch.tensor([9.0, NAN]), torch.tensor([NAN, 1.0]))
    assert metric.aggregate() == pytest.approx(roc_auc_score(labels, scores))


@pytest.mark.parametrize("label", [0.0, 1.0, NAN])
def test_one_label_alone_is_undefined(label: float) -> None:
    metric = LabelledROCAUC()
    metric(torch.tensor([0.1, 0.2]), torch.full((2,), label))
    with pytest.warns(UserWarning, match="AUROC is undefined: expected normal and abnormal labels"):
        assert math.isnan(metric.aggregate())
