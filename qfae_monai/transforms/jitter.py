"""Brightness and contrast jitter as torchvision defines it, and coarse noise inside the body."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import convert_to_tensor
from torch import Tensor
from torch.nn import functional as F

__all__ = ["BrightnessContrast", "CoarseNoise", "RandBrightnessContrast", "RandBrightnessContrastd", "add_coarse_noise"]


LUMINANCE = (0.2989, 0.587, 0.114)  # of red, green and blue, as torchvision weighs them


class BrightnessContrast(Transform):
    """Multiply by a brightness factor and blend with the image's mean by a contrast factor; each step clips to [0, 1].

    Example:
        >>> BrightnessContrast()(torch.tensor([[[0.2, 0.6]]]), brightness=1.0, contrast=0.5)
        tensor([[[0.3000, 0.5000]]])
    """

    def __call__(
        self, img: torch.Tensor, *, brightness: float = 1.0, contrast: float = 1.0, contrast_first: bool = False
    ) -> torch.Tensor:
        """
        Args:
            img: (1 or 3, H, W) in [0, 1].
            brightness: factor; 0 is black, 1 leaves the image as it is.
            contrast: factor; 0 is the image's mean everywhere, 1 leaves the image as it is.
            contrast_first: whether the contrast is changed before the brightness.

        Returns:
            The same shape, float32 in [0, 1], a plain tensor: metadata would double the time.
        """
        out = convert_to_tensor(img, dtype=torch.float32, track_meta=False)
        if contrast_first:
            return self._brighten(self._blend(out, contrast), brightness)
        return self._blend(self._brighten(out, brightness), contrast)

    def batch(
        self, images: torch.Tensor, *, brightness: torch.Tensor, contrast: torch.Tensor, contrast_first: torch.Tensor
    ) -> torch.Tensor:
        """The same for a batch on its own device, each image with factors and an order of its own.

        Args:
            images: (B, 1, H, W) in [0, 1].
            brightness: (B,) factors.
            contrast: (B,) factors.
            contrast_first: (B,) boolean.

        Returns:
            (B, 1, H, W), float32 in [0, 1].
        """
        brightness, contrast, swapped = (
            # (B, 1, 1, 1)
            values.to(images.device)[:, None, None, None]
            for values in (brightness, contrast, contrast_first)
        )
        # both orders for all images: to take a batch apart would have the host wait for a GPU
        straight = self._blend(self._brighten(images, brightness), contrast)
        return torch.where(swapped, self._brighten(self._blend(images, contrast), brightness), straight)

    @staticmethod
    def _brighten(img: torch.Tensor, factor: float | torch.Tensor) -> torch.Tensor:
        return (img * factor).clamp(0, 1)

    @staticmethod
    def _blend(img: torch.Tensor, factor: float | torch.Tensor) -> torch.Tensor:
        return (img * factor + (1 - factor) * _mean_luminance(img)).clamp(0, 1)


def _mean_luminance(img: torch.Tensor) -> torch.Tensor:
    """(..., 1, 1, 1): the mean of each image alone, also in a batch; of colours that of their luminance."""
    if img.shape[-3] == 3:
        img = (img * img.new_tensor(LUMINANCE)[:, None, None]).sum(-3, keepdim=True)  # (..., 1, H, W)
    return img.mean((-3, -2, -1), keepdim=True)


class RandBrightnessContrast(Randomizable, Transform):
    """Jitter brightness and contrast in random order.

    Args:
        brightness: the factor is uniform in [1 - brightness, 1 + brightness].
        contrast: the factor is uniform in [1 - contrast, 1 + contrast].

    Raises:
        ValueError: when one of them is not in [0, 1].
    """

    def __init__(self, brightness: float = 0.1, contrast: float = 0.1) -> None:
        if not (0 <= brightness <= 1 and 0 <= contrast <= 1):
            raise ValueError(f"expected brightness and contrast in [0, 1], got {brightness} and {contrast}")
        self.ranges = (brightness, contrast)
        self.adjust = BrightnessContrast()
        self.brightness, self.contrast, self.contrast_first = 1.0, 1.0, False

    def randomize(self, data: object = None) -> None:
        """Draw both factors and their order."""
        self.brightness, self.contrast = (float(self.R.uniform(1 - half, 1 + half)) for half in self.ranges)
        self.contrast_first = bool(self.R.random_sample() < 0.5)

    def __call__(self, img: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """
        Args:
            img: (1, H, W) in [0, 1].
            randomize: False repeats the last draw.

        Returns:
            (1, H, W), float32 in [0, 1].
        """
        if randomize:
            self.randomize()
        return self.adjust(img, brightness=self.brightness, contrast=self.contrast, contrast_first=self.contrast_first)


class RandBrightnessContrastd(Randomizable, MapTransform):
    """Dictionary twin of `RandBrightnessContrast`: one draw for all keys.

    Args:
        keys: keys of the images.
        brightness: the factor is uniform in [1 - brightness, 1 + brightness].
        contrast: the factor is uniform in [1 - contrast, 1 + contrast].
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(
        self, keys: KeysCollection, brightness: float = 0.1, contrast: float = 0.1, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.jitter = RandBrightnessContrast(brightness, contrast)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandBrightnessContrastd:
        self.jitter.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        self.jitter.randomize()
        for key in self.key_iterator(d):
            d[key] = self.jitter(d[key], randomize=False)
        return d


# Coarse noise inside the body, to be removed again by what is trained (Kascenas et al., MIDL 2022).


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
    fields = F.interpolate(noise, size=images.shape[-2:], mode="bilinear", align_corners=False)  # (B, 1, H, W)
    if shifts is not None:
        # pixels that leave at one edge come back at the other
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
        self.level = (level - subtrahend) / divisor  # in the unit of the normalised images
        self.divisor = divisor
        self.noise, self.shifts = torch.empty(0), np.empty((0, 2), int)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> CoarseNoise:
        super().set_random_state(seed, state)
        return self

    def randomize(self, data: Tensor) -> None:
        """Draw noise and shift of as many images as `data` (B, C, H, W) has."""
        # (B, 1, g, g) in the unit of the normalised images
        grids = self.R.standard_normal((len(data), 1, self.size, self.size)) * self.std / self.divisor
        self.noise = torch.as_tensor(grids, dtype=torch.float32)
        self.shifts = self.R.randint(data.shape[-2:], size=(len(data), 2))  # (B, 2) pixels, down and to the right

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
