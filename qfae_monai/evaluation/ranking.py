"""Measures of a score that ranks abnormal items above normal ones: scikit-learn's, with bad input refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

Array = NDArray[np.float64]


def auroc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve.

    Args:
        scores: (N,), finite, higher is more abnormal.
        labels: (N,), 1 is abnormal, 0 is normal.
        weights: (N,), none negative; 1 each by default.

    Returns:
        In [0, 1]; NaN where one class is missing (or has no weight).

    Raises:
        ValueError: for NaN or infinite scores, labels other than 0 and 1, negative weights or unequal lengths.
    """
    scores, labels, weights = _checked(scores, labels, weights)
    return float(roc_auc_score(labels, scores, sample_weight=weights)) if _both(labels, weights) else float("nan")


def average_precision(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Average precision: the area under the precision-recall curve as a sum of steps, without interpolation.

    Args, Returns and Raises: as `auroc`.
    """
    scores, labels, weights = _checked(scores, labels, weights)
    if not _both(labels, weights):
        return float("nan")
    return float(average_precision_score(labels, scores, sample_weight=weights))


def sensitivity_at_specificity(
    scores: ArrayLike, labels: ArrayLike, specificity: float, weights: ArrayLike | None = None
) -> float:
    """Largest sensitivity among the thresholds whose specificity is at least `specificity`; no interpolation.

    Args:
        specificity: wanted, in [0, 1].

    Other args, Returns and Raises: as `auroc`.
    """
    if not 0 <= specificity <= 1:
        raise ValueError(f"specificity must be in [0, 1], got {specificity}")
    scores, labels, weights = _checked(scores, labels, weights)
    if not _both(labels, weights):
        return float("nan")
    false_positives, sensitivity, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    return float(sensitivity[false_positives <= 1 - specificity + 1e-12].max())  # 1e-12: 1 - 0.95 is not 0.05 in floats


def _checked(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array, Array]:
    values, truth = (np.asarray(part, dtype=np.float64) for part in (scores, labels))
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not values.shape == truth.shape == weight.shape or values.ndim != 1:
        raise ValueError(
            f"expected scores, labels and weights of one length, got {values.shape}, {truth.shape} and {weight.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite scores, got {int((~np.isfinite(values)).sum())} NaN or infinite ones")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"expected labels 0 and 1, got {sorted(set(truth[~np.isin(truth, (0, 1))].tolist()))[:5]}")
    if not (weight >= 0).all():
        raise ValueError(f"expected weights of at least 0, got {weight.min()}")
    return values, truth, weight


def _both(labels: Array, weights: Array) -> bool:
    return bool(weights[labels == 0].sum() > 0 and weights[labels == 1].sum() > 0)
