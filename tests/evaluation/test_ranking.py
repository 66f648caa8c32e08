"""Scores of slices and volumes: scikit-learn and MONAI say what is right, for one sample and for many resamples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_roc_auc
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from qfae_monai.evaluation.ranking import auroc, average_precision, sensitivity_at_specificity
from qfae_monai.evaluation.weighted import WeightedRanking

SEEDS = range(5)


def _sample(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 scores with many ties, labels, and whole weights of which some are 0."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 60)
    return np.round(rng.normal(size=60) + labels, 1), labels, rng.integers(0, 4, 60).astype(float)


@pytest.mark.parametrize("seed", SEEDS)
def test_agrees_with_monai(seed: int) -> None:
    scores, labels, _ = _sample(seed)
    expected = compute_roc_auc(torch.tensor(scores), torch.tensor(labels))
    assert auroc(scores, labels) == pytest.approx(expected, abs=1e-6)  # MONAI computes in float32


@pytest.mark.parametrize("seed", SEEDS)
def test_weighted_and_resampled_agree_with_scikit_learn(seed: int) -> None:
    scores, labels, weights = _sample(seed)
    false_positives, sensitivity, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    expected = [
        roc_auc_score(labels, scores, sample_weight=weights),
        average_precision_score(labels, scores, sample_weight=weights),
        sensitivity[false_positives <= 0.1 + 1e-12].max(),
    ]
    found = [
        auroc(scores, labels, weights),
        average_precision(scores, labels, weights),
        sensitivity_at_specificity(scores, labels, 0.9, weights),
    ]
    assert found == pytest.approx(expected, abs=1e-9)
    many = WeightedRanking(scores, labels)
    rows = np.stack([np.ones(60), weights])
    resampled = [many.auroc(rows), many.average_precision(rows), many.sensitivity_at_specificity(rows, 0.9)]
    assert [measure[1] for measure in resampled] == pytest.approx(expected, abs=1e-9)
    unweighted = [
        auroc(scores, labels),
        average_precision(scores, labels),
        sensitivity_at_specificity(scores, labels, 0.9),
    ]
    assert [measure[0] for measure in resampled] == pytest.approx(unweighted, abs=1e-9)


def test_sensitivity_at_specificity_by_hand() -> None:
    """Of four normals at specificity 0.75 one may be called, 4.5: of the abnormal 5, 4 and 2 two lie above 3."""
    scores, labels = [5, 4, 2, 1, 2, 3, 4.5], [1, 1, 1, 0, 0, 0, 0]
    assert sensitivity_at_specificity(scores, labels, 0.75) == pytest.approx(2 / 3)
    assert sensitivity_at_specificity(scores, labels, 1) == pytest.approx(1 / 3)
    assert sensitivity_at_specificity(scores, labels, 0) == 1


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_is_undefined(label: int) -> None:
    scores, labels = [0.1, 0.2, 0.3], [label] * 3
    assert np.isnan([auroc(scores, labels), average_precision(scores, labels)]).all()
    assert np.isnan(sensitivity_at_specificity(scores, labels, 0.95))
    many, weights = WeightedRanking(scores, labels), np.ones((2, 3))
    assert np.isnan([many.auroc(weights), many.average_precision(weights)]).all()
    assert np.isnan(many.sensitivity_at_specificity(weights, 0.95)).all()


def test_a_class_that_was_not_drawn_is_undefined_in_that_resample() -> None:
    many = WeightedRanking([1.0, 2.0], [0, 1])
    np.testing.assert_array_equal(many.auroc(np.array([[1.0, 1.0], [2.0, 0.0]])), [1.0, np.nan])


# [scores, labels, weights, message]
BAD_INPUT: list[list] = [
    [[0.1, np.nan], [0, 1], None, "1 NaN or infinite"],
    [[0.1, np.inf], [0, 1], None, "1 NaN or infinite"],
    [[0.1, 0.2], [0, 2], None, r"labels 0 and 1, got \[2.0\]"],
    [[0.1, 0.2], [0, 1], [1, -1], "at least 0, got -1"],
    [[0.1, 0.2], [0], None, "of one length"],
]


@pytest.mark.parametrize(("scores", "labels", "weights", "message"), BAD_INPUT)
def test_refuses(scores: list, labels: list, weights: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auroc(scores, labels, weights)
