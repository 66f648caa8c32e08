"""Normalisation of grey values in [0, 1] for the networks: mean and deviation of natural images, as published."""

from __future__ import annotations

from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R 601)
MEAN, STD = 0.449, 0.226  # of ImageNet, mean over its three colours


def normalized(grey: float) -> float:
    """A grey of [0, 1] in the networks' space.

    >>> round(normalized(0.449), 3)
    0.0
    """
    return (grey - MEAN) / STD


def luminance(image: Tensor) -> Tensor:
    """(..., 1 or 3, H, W) -> (..., 1, H, W): what is seen of colours in grey; also of normalised ones.

    >>> import torch
    >>> luminance(torch.tensor([1.0, 0.0, 0.0])[:, None, None]).item()
    0.29899999499320984
    """
    if image.shape[-3] == 1:
        return image
    return (image * image.new_tensor(LUMINANCE)[:, None, None]).sum(-3, keepdim=True)
