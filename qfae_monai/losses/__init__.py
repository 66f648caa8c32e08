"""Distances between an image and its reconstruction."""

from qfae_monai.losses.perceptual import PerceptualLoss
from qfae_monai.losses.weighted_sum import WeightedSumLoss

__all__ = ["PerceptualLoss", "WeightedSumLoss"]
