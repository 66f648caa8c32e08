"""The paper's augmentation for a whole batch on its device: the draws of the transforms that work image by image."""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from monai.utils import convert_to_tensor

from qfae_monai.transforms.augmentation import RandResizedCropRotateFlip
from qfae_monai.transforms.jitter import RandBrightnessContrast
from qfae_monai.transforms.resized_crop import Box

__all__ = ["RandAugmentBatch"]


class RandAugmentBatch(Randomizable, Transform):
    """Crop, rotate and flip a batch in one affine resampling, then change brightness and contrast, on its device.

    For machines whose processors cannot augment as fast as the accelerator trains. The parameters are drawn by the
    per-image transforms themselves, on the CPU, a few microseconds an image: the distribution is theirs. So are the
    pixels, but for rounding, when the images come as they were stored; images that were resized to be put into one
    batch have been interpolated once more.

    Args:
        geometry: draws crop, angle and flip of each image, and knows the output's size.
        jitter: draws brightness, contrast and their order of each image.

    Example:
        >>> augment = RandAugmentBatch(RandResizedCropRotateFlip(16), RandBrightnessContrast()).set_random_state(0)
        >>> augment(torch.rand(4, 1, 20, 24)).shape
        torch.Size([4, 1, 16, 16])
    """

    def __init__(self, geometry: RandResizedCropRotateFlip, jitter: RandBrightnessContrast) -> None:
        self.geometry = geometry
        self.jitter = jitter
        self.boxes: list[Box] = []
        self.angles: list[float] = []
        self.flips: list[bool] = []
        self.brightness, self.contrast, self.contrast_first = torch.empty(0), torch.empty(0), torch.empty(0)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandAugmentBatch:
        """Seed both draws, each with a stream of its own."""
        super().set_random_state(seed, state)
        for part in (self.geometry, self.jitter):
            part.set_random_state(int(self.R.randint(2**31)))
        return self

    def randomize(self, data: torch.Tensor) -> None:
        """Draw the parameters of as many images as `data` (B, C, H, W) has."""
        self.boxes, self.angles, self.flips, factors = [], [], [], []
        for _ in range(len(data)):
            self.geometry.randomize()
            self.jitter.randomize()
            self.boxes.append(self.geometry.box)
            self.angles.append(self.geometry.angle)
            self.flips.append(self.geometry.flip)
            factors.append([self.jitter.brightness, self.jitter.contrast, float(self.jitter.contrast_first)])
        self.brightness, self.contrast, contrast_first = torch.tensor(factors).unbind(1)
        self.contrast_first = contrast_first > 0

    def __call__(self, images: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """
        Args:
            images: (B, 1, H, W) in [0, 1], any size.
            randomize: False repeats the last draw.

        Returns:
            (B, 1, S, S), float32 in [0, 1], plain tensors on the device of `images`.
        """
        plain = convert_to_tensor(images, track_meta=False)
        if randomize:
            self.randomize(plain)
        sampled = self.geometry.resample.batch(plain, boxes=self.boxes, angles=self.angles, flips=self.flips)
        return self.jitter.adjust.batch(
            sampled, brightness=self.brightness, contrast=self.contrast, contrast_first=self.contrast_first
        )
