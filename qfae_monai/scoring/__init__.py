"""Anomaly maps and scores."""

from qfae_monai.scoring.anomaly_map import AnomalyResult, AnomalyScorer

__all__ = ["AnomalyResult", "AnomalyScorer"]
