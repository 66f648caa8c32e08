"""Anomaly maps and scores: perceptual distance, thresholds from normal scans, rivals, and inference over volumes."""

from qfae_monai.anomaly.anomaly_map import AnomalyResult, AnomalyScorer, VolumeScore
from qfae_monai.anomaly.calibration import Calibration, load_calibration
from qfae_monai.anomaly.detector import AnomalyDetector, OnnxDetector
from qfae_monai.anomaly.inferer import AnomalyInferer
from qfae_monai.anomaly.normals import Normals
from qfae_monai.anomaly.perceptual import PerceptualLoss
from qfae_monai.anomaly.rivals import MeanDistance, MeanImage, NearestNeighbours, NormalImages, Rival
from qfae_monai.anomaly.token_distance import TokenDistance
from qfae_monai.anomaly.weighted_sum import WeightedSumLoss

__all__ = [
    "AnomalyDetector",
    "AnomalyInferer",
    "AnomalyResult",
    "AnomalyScorer",
    "Calibration",
    "MeanDistance",
    "MeanImage",
    "NearestNeighbours",
    "NormalImages",
    "Normals",
    "OnnxDetector",
    "PerceptualLoss",
    "Rival",
    "TokenDistance",
    "VolumeScore",
    "WeightedSumLoss",
    "load_calibration",
]
