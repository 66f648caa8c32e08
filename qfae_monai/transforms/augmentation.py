"""The paper's random augmentation: resized crop, rotation and flip of an image, with jitter of a whole batch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import convert_to_tensor, ensure_tuple_rep

from qfae_monai.transforms.jitter import RandBrightnessContrast
from qfae_monai.transforms.resized_crop import Box, ResizedCropRotateFlip

__all__ = ["RandAugmentBatch", "RandResizedCropRotateFlip", "RandResizedCropRotateFlipd"]

CROP_TRIES = 10  # torchvision's


class RandResizedCropRotateFlip(Randomizable, Transform):
    """Draw a crop, an angle and a flip as the paper's training does, and apply them in one resampling.

    Args:
        size: side S of the output in pixels.
        area: range of the crop's share of the image's area.
        aspect: range of the crop's width / height, drawn uniformly in its logarithm.
        max_angle: rotation is uniform in [-max_angle, max_angle] degrees.
        flip_prob: probability of a flip of the first spatial axis. In an image file that is upside down (the paper's
            vertical flip); in a slice of an oriented volume it is the volume's first remaining axis.
        mode: "bilinear" or "nearest".
        anti_aliasing: see `ResizedCropRotateFlip`.
    """

    def __init__(
        self,
        size: int,
        *,
        area: tuple[float, float] = (0.9, 1.0),
        aspect: tuple[float, float] = (0.8, 1.2),
        max_angle: float = 10.0,
        flip_prob: float = 0.5,
        mode: str = "bilinear",
        anti_aliasing: bool = True,
    ) -> None:
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"expected a range of area shares within (0, 1], got {area}")
        if not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"expected a range of positive aspect ratios, got {aspect}")
        if max_angle < 0 or not 0 <= flip_prob <= 1:
            raise ValueError(f"expected max_angle >= 0 and 0 <= flip_prob <= 1, got {max_angle} and {flip_prob}")
        self.area, self.aspect, self.max_angle, self.flip_prob = area, aspect, max_angle, flip_prob
        self.resample = ResizedCropRotateFlip(size, mode, anti_aliasing)
        self.box: Box = (0, 0, size, size)
        self.angle = 0.0
        self.flip = False

    def randomize(self, data: object = None) -> None:
        """Draw `box`, `angle` and `flip`."""
        self.box = self._draw_box(self.resample.size)
        self.angle = float(self.R.uniform(-self.max_angle, self.max_angle))  # degrees
        self.flip = bool(self.R.random_sample() < self.flip_prob)

    def _draw_box(self, size: int) -> Box:
        """Torchvision's rule for a square image."""
        low, high = np.log(self.aspect)
        for _ in range(CROP_TRIES):
            area = size * size * self.R.uniform(*self.area)  # pixels
            aspect = math.exp(self.R.uniform(low, high))  # width / height
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))  # pixels
            if 0 < width <= size and 0 < height <= size:
                return int(self.R.randint(size - height + 1)), int(self.R.randint(size - width + 1)), height, width
        return self._fallback_box(size)

    def _fallback_box(self, size: int) -> Box:
        """The largest centred crop whose aspect is allowed: all of a square image when 1 is."""
        width, height = size, size
        if self.aspect[0] > 1:
            height = round(size / self.aspect[0])
        elif self.aspect[1] < 1:
            width = round(size * self.aspect[1])
        return (size - height) // 2, (size - width) // 2, height, width

    def __call__(self, img: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """
        Args:
            img: (C, H, W), any size.
            randomize: False repeats the last draw.

        Returns:
            (C, S, S), float32, a plain tensor.
        """
        if randomize:
            self.randomize()
        return self.resample(img, box=self.box, angle=self.angle, flip=self.flip)


class RandResizedCropRotateFlipd(Randomizable, MapTransform):
    """Dictionary twin of `RandResizedCropRotateFlip`: one draw for all keys, so that masks follow their image.

    Args:
        keys: keys of images and label maps.
        size: side S of the output in pixels.
        area: range of the crop's share of the image's area.
        aspect: range of the crop's width / height.
        max_angle: rotation is uniform in [-max_angle, max_angle] degrees.
        flip_prob: probability of a flip of the first spatial axis.
        mode: "bilinear" or "nearest", one for all keys or one each.
        anti_aliasing: see `ResizedCropRotateFlip`.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int,
        *,
        area: tuple[float, float] = (0.9, 1.0),
        aspect: tuple[float, float] = (0.8, 1.2),
        max_angle: float = 10.0,
        flip_prob: float = 0.5,
        mode: str | Sequence[str] = "bilinear",
        anti_aliasing: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.draw = RandResizedCropRotateFlip(
            size, area=area, aspect=aspect, max_angle=max_angle, flip_prob=flip_prob, anti_aliasing=anti_aliasing
        )
        self.resample = [
            ResizedCropRotateFlip(size, key_mode, anti_aliasing) for key_mode in ensure_tuple_rep(mode, len(self.keys))
        ]

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandResizedCropRotateFlipd:
        self.draw.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        self.draw.randomize()
        for key, resample in self.key_iterator(d, self.resample):
            d[key] = resample(d[key], box=self.draw.box, angle=self.draw.angle, flip=self.draw.flip)
        return d


# The paper's augmentation for a whole batch on its device: the draws of the transforms that work image by image.


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
        self.brightness, self.contrast, contrast_first = torch.tensor(factors).unbind(1)  # (B,) each
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
        # (B, 1, S, S)
        sampled = self.geometry.resample.batch(plain, boxes=self.boxes, angles=self.angles, flips=self.flips)
        return self.jitter.adjust.batch(
            sampled, brightness=self.brightness, contrast=self.contrast, contrast_first=self.contrast_first
        )
