"""Random grey-level augmentation for self-distillation, batch-wise, and several views of each image (multi-crop).

MONAI has these for one image at a time; several views of each image of a batch are made here at once, on its device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.engines import PrepareBatch
from monai.transforms import Compose, Randomizable, Transform
from monai.utils import convert_to_tensor
from torch import Tensor
from torch.nn import functional as F

from qfae_monai.transforms.jitter import add_coarse_noise

BODY = 0.02
"""Pixels above this grey, in [0, 1], are body."""


def change_gamma(images: Tensor, gamma: Tensor) -> Tensor:
    """images: (B, 1, H, W) in [0, 1], gamma: (B,); above 1 darkens."""
    return images.clamp(0, 1) ** gamma[:, None, None, None]


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """images: (B, 1, H, W), sigma: (B,) pixels of a Gaussian, on the host; 0 leaves an image as it is."""
    radius = math.ceil(3 * float(sigma.max()))  # pixels: three deviations of the widest kernel
    if radius == 0:
        return images
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)  # (2 * radius + 1,) pixels
    widths = sigma.to(images.device)[:, None].clamp(min=1e-3)  # (B, 1) pixels
    # (B, 1, 1, 2 * radius + 1), each of sum 1
    kernels = torch.softmax(-0.5 * (offsets / widths) ** 2, dim=1)[:, None, None]
    rows = F.pad(images.transpose(0, 1), (radius,) * 4, mode="replicate")  # images as channels, a kernel each
    # (1, B, H, W), along rows and then along columns
    smooth = F.conv2d(F.conv2d(rows, kernels, groups=len(images)), kernels.transpose(2, 3), groups=len(images))
    return smooth.transpose(0, 1)


def erase(images: Tensor, boxes: Tensor, greys: Tensor) -> Tensor:
    """images: (B, 1, H, W), boxes: (B, E, 4) top, left, bottom, right in [0, 1] of a side, greys: (B, E)."""
    rows, columns = (
        # (H,) and (W,): middles of pixels, as shares of a side
        (torch.arange(side, device=images.device, dtype=images.dtype) + 0.5) / side
        for side in images.shape[2:]
    )
    for box, grey in zip(boxes.unbind(1), greys.unbind(1), strict=True):
        top, left, bottom, right = box[:, :, None].unbind(1)  # (B, 1) each
        # (B, 1, H, W)
        inside = ((rows > top) & (rows < bottom))[:, None, :, None] & ((columns > left) & (columns < right))[
            :, None, None
        ]
        images = torch.where(inside, grey[:, None, None, None], images)
    return images


class RandGreyBatch(Randomizable, Transform):
    """Draw and apply all four for each image of a batch.

    Args:
        prob: of gamma, blur and noise, each for itself, and of each erasure.
        gamma: range of the exponent, drawn uniformly in its logarithm.
        max_sigma: of the blur in pixels, uniform from 0.
        max_noise: standard deviation of the noise in grey values, uniform from 0.
        noise_grid: g, the noise's own points along a side.
        erasures: most erased boxes an image.
        erased_side: largest side of a box as a share of the image's.

    Raises:
        ValueError: when an argument is out of its range.

    Example:
        >>> RandGreyBatch().set_random_state(0)(torch.rand(4, 1, 16, 16)).shape
        torch.Size([4, 1, 16, 16])
    """

    def __init__(
        self,
        *,
        prob: float = 0.5,
        gamma: tuple[float, float] = (0.7, 1.5),
        max_sigma: float = 1.0,
        max_noise: float = 0.2,
        noise_grid: int = 8,
        erasures: int = 2,
        erased_side: float = 0.2,
    ) -> None:
        if not (0 <= prob <= 1 and 0 < gamma[0] <= gamma[1] and max_sigma >= 0 and max_noise >= 0):
            raise ValueError(
                f"expected prob in [0, 1], a range of positive gammas, max_sigma and max_noise from 0, "
                f"got {prob}, {gamma}, {max_sigma} and {max_noise}"
            )
        if noise_grid < 1 or erasures < 0 or not 0 <= erased_side <= 1:
            raise ValueError(
                f"expected noise_grid from 1, erasures from 0 and erased_side in [0, 1], "
                f"got {noise_grid}, {erasures} and {erased_side}"
            )
        self.prob, self.gamma_range, self.max_sigma, self.max_noise = prob, gamma, max_sigma, max_noise
        self.noise_grid, self.erasures, self.erased_side = noise_grid, erasures, erased_side
        self.randomize(torch.empty(0))

    def randomize(self, data: Tensor) -> None:
        """Draw the parameters of as many images as `data` (B, C, H, W) has."""
        count, grid = len(data), self.noise_grid
        low, high = np.log(self.gamma_range).tolist()
        # (B,), 1 where nothing is to happen
        self.gamma = np.exp(self.R.uniform(low, high, count) * self._happens(count))
        self.sigma = self.R.uniform(0, self.max_sigma, count) * self._happens(count)  # (B,) pixels
        amplitude = self.R.uniform(0, self.max_noise, count) * self._happens(count)  # (B,) grey values
        # (B, 1, g, g) grey values
        self.noise = self.R.standard_normal((count, 1, grid, grid)) * amplitude[:, None, None, None]
        sides = self.R.uniform(0, self.erased_side, (count, self.erasures, 2))  # (B, E, 2): height and width
        # (B, E, 2): top and left, so that the box stays inside
        corners = self.R.random_sample(sides.shape) * (1 - sides)
        sides *= self._happens(count, self.erasures)[..., None]  # a box without sides erases nothing
        self.boxes = np.concatenate([corners, corners + sides], axis=2)  # (B, E, 4)
        self.greys = self.R.uniform(0, 1, (count, self.erasures))  # (B, E)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandGreyBatch:
        """Seed the draws."""
        super().set_random_state(seed, state)
        return self

    def __call__(self, images: Tensor, randomize: bool = True) -> Tensor:
        """images: (B, 1, H, W) in [0, 1]; randomize: False repeats the last draw -> the same shape, in [0, 1]."""
        if randomize:
            self.randomize(images)
        drawn = (self.gamma, self.noise, self.boxes, self.greys)
        gamma, noise, boxes, greys = (torch.as_tensor(one, dtype=images.dtype).to(images.device) for one in drawn)
        sigma = torch.as_tensor(self.sigma, dtype=images.dtype)  # on the host, where its largest is read
        noisy = add_coarse_noise(blur(change_gamma(images, gamma), sigma), noise, level=BODY)
        return erase(noisy.clamp(0, 1), boxes, greys)

    def _happens(self, *shape: int) -> np.ndarray:
        return self.R.random_sample(shape) < self.prob


# Several views of each image, large and small, for self-distillation (multi-crop: Caron et al. 2020).

NUM_GLOBAL = 2  # views that teacher and student both see


class MultiCrop(Randomizable):
    """Two global views of each image, then some local ones.

    Args:
        global_view: random transform of a batch (B, 1, H, W) into views of the network's own size.
        local_view: the same into smaller views of a smaller part; None for no local views.
        num_local: how many of them.
    """

    def __init__(self, global_view: Compose, local_view: Compose | None = None, num_local: int = 4) -> None:
        self.global_view, self.local_view, self.num_local = global_view, local_view, num_local

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> MultiCrop:
        """Seed both kinds of views, each with a stream of its own."""
        super().set_random_state(seed, state)
        for view in (self.global_view, self.local_view):
            if view is not None:
                view.set_random_state(int(self.R.randint(2**31)))
        return self

    def __call__(self, images: Tensor) -> list[Tensor]:
        """(B, 1, H, W) -> two of (B, 1, S, S), then `num_local` of (B, 1, s, s)."""
        views = list(self.global_view(images.repeat(NUM_GLOBAL, 1, 1, 1)).chunk(NUM_GLOBAL))  # two of (B, 1, S, S)
        if self.local_view is not None and self.num_local:
            views += self.local_view(images.repeat(self.num_local, 1, 1, 1)).chunk(self.num_local)  # of (B, 1, s, s)
        return views


class ViewsPrepareBatch(PrepareBatch):
    """Batch dictionary -> (views, image), plain tensors: what MONAI's engines are told in self-distillation.

    Args:
        views: random transform of a batch into a list of views.
        seed: set before each batch, so that held-out images are always seen in the same views; None draws on.
        image_key: of the batch.
    """

    def __init__(self, views: MultiCrop | Compose, *, seed: int | None = None, image_key: str = "image") -> None:
        self.views = views
        self.seed, self.image_key = seed, image_key

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[list[Tensor], Tensor]:
        image = batchdata[self.image_key]
        image = convert_to_tensor(image, track_meta=False).to(device=device, non_blocking=non_blocking, **kwargs)
        if self.seed is not None:
            self.views.set_random_state(self.seed)
        return [convert_to_tensor(view, track_meta=False) for view in self.views(image)], image
