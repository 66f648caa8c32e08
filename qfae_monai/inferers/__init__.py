"""Inference on images and volumes."""

from qfae_monai.inferers.anomaly import AnomalyInferer

__all__ = ["AnomalyInferer"]
