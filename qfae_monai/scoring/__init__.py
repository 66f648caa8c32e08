"""Anomaly maps and scores, thresholds from normal scans, and training-free maps to compare with."""

from qfae_monai.scoring.anomaly_map import AnomalyResult, AnomalyScorer
from qfae_monai.scoring.calibration import Calibration, load_calibration
from qfae_monai.scoring.detector import AnomalyDetector
from qfae_monai.scoring.rivals import MeanDistance, NearestNeighbours, NormalImages, Rival
from qfae_monai.scoring.volume_score import VolumeScore

__all__ = [
    "AnomalyDetector",
    "AnomalyResult",
    "AnomalyScorer",
    "Calibration",
    "MeanDistance",
    "NearestNeighbours",
    "NormalImages",
    "Rival",
    "VolumeScore",
    "load_calibration",
]
