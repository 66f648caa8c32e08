"""Metrics that MONAI lacks."""

from qfae_monai.metrics.labelled import LabelledROCAUC
from qfae_monai.metrics.pixels import PixelRanking

__all__ = ["LabelledROCAUC", "PixelRanking"]
