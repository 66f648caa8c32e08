"""Normalisation of grey values in [0, 1] for the networks: mean and deviation of natural images, as published."""

from __future__ import annotations

MEAN, STD = 0.449, 0.226  # of ImageNet, mean over its three colours


def normalized(grey: float) -> float:
    """A grey of [0, 1] in the networks' space.

    >>> round(normalized(0.449), 3)
    0.0
    """
    return (grey - MEAN) / STD
