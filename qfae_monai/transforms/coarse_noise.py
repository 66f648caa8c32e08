"""Coarse noise inside the body, to be removed again by what is trained (Kascenas et al., MIDL 2022)."""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from torch import Tensor
from torch.nn import functional as F

__all__ = ["CoarseNoise", "add_coarse_noise"]


def add_coarse_noise(images: Tensor, noise: Tensor, *, level: float, shifts: np.ndarray | None = None) -> Tensor:
    """Add noise of low resolution, made larger bilinearly, where an image is above a level.

    Args:
        images: (B, C, H, W).
        noise: (B, 1, g, g); the channels of an image share it.
        level: grey above which a pixel is body: there is no noise in the air.
        shifts: (B, 2), rows and columns by which each image's noise is rolled; None leaves it in place.

    Returns:
        The same shape, not clipped.
    """
    fields = F.interpolate(noise, size=images.shape[-2:], mode="bilinear", align_corners=False)
    if shifts is not None:
        fields = torch.stack([one.roll(by.tolist(), (-2, -1)) for one, by in zip(fields, shifts, strict=True)])
    return images + fields * (images > level)


class CoarseNoise(Randomizable, Transform):
    """Add Gaussian noise of low resolution, made larger bilinearly and shifted at random, to what is not background.

    As published the sum is not clipped, and the noise has a 16 x 16 grid and a standard deviation of 0.2. Blobs of that
    size resemble lesions: a network that learns to take them away has not learned to copy.

    Args:
        std: standard deviation of the noise's own grid, in grey values of [0, 1]; 0 changes and draws nothing.
        size: points of the noise's own grid along a side.
        level: grey in [0, 1] above which a pixel is body.
        subtrahend, divisor: with which the images were normalised; 0 and 1 where they are in [0, 1].

    Raises:
        ValueError: when std is negative, or there is no grid.

    Example:
        >>> corrupt = CoarseNoise(0.2, size=4).set_random_state(0)
        >>> image = torch.zeros(1, 1, 8, 8)
        >>> image[..., 2:6, 2:6] = 0.5
        >>> (corrupt(image) != image).sum().item()
        16
    """

    def __init__(
        self, std: float, *, size: int = 16, level: float = 0.01, subtrahend: float = 0.0, divisor: float = 1.0
    ) -> None:
        if std < 0 or size < 1:
            raise ValueError(f"expected a standard deviation from 0 and a grid from 1, got std {std} and size {size}")
        self.std, self.size = std, size
        self.level = (level - subtrahend) / divisor
        self.divisor = divisor
        self.noise, self.shifts = torch.empty(0), np.empty((0, 2), int)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> CoarseNoise:
        super().set_random_state(seed, state)
        return self

    def randomize(self, data: Tensor) -> None:
        """Draw noise and shift of as many images as `data` (B, C, H, W) has."""
        grids = self.R.standard_normal((len(data), 1, self.size, self.size)) * self.std / self.divisor
        self.noise = torch.as_tensor(grids, dtype=torch.float32)
        self.shifts = self.R.randint(data.shape[-2:], size=(len(data), 2))

    def __call__(self, images: Tensor, randomize: bool = True) -> Tensor:
        """
        Args:
            images: (B, C, H, W); the channels of an image share its noise.
            randomize: False repeats the last draw.

        Returns:
            The same shape; with std 0 the images themselves.
        """
        if self.std == 0:
            return images
        if randomize:
            self.randomize(images)
        noise = self.noise.to(images.device, images.dtype)
        return add_coarse_noise(images, noise, level=self.level, shifts=self.shifts)
