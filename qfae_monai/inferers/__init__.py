"""Inference on images and volumes, with PyTorch or ONNX Runtime."""

from qfae_monai.inferers.anomaly import AnomalyInferer
from qfae_monai.inferers.onnx_runtime import OnnxDetector

__all__ = ["AnomalyInferer", "OnnxDetector"]
