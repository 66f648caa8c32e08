"""The paper's geometric augmentation with given parameters (section 6 of its recipe), in one resampling not three.

Resize, crop, rotation and flip are composed into one sampling grid, so that an image is interpolated once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.transforms import Transform
from monai.utils import convert_to_tensor
from torch.nn.functional import affine_grid, grid_sample

from qfae_monai.transforms.antialias import smoothed

__all__ = ["Box", "ResizedCropRotateFlip"]

Box = tuple[int, int, int, int]  # top, left, height, width in pixels of the resized image


class ResizedCropRotateFlip(Transform):
    """Resize to a square, crop and resize again, rotate, flip: given parameters, one resampling.

    With the defaults of `__call__` it equals MONAI's `Resize((size, size), mode, anti_aliasing=True)`, which
    prepares images for evaluation. What the rotation brings in from outside of the crop is 0. Where it rotates, the
    prefilter costs most of the time of images much larger than `size`: store them at about that size.

    Args:
        size: side S of the output in pixels.
        mode: "bilinear" for images, "nearest" for label maps.
        anti_aliasing: whether images larger than `size` are smoothed first (never with "nearest").
    """

    def __init__(self, size: int, mode: str = "bilinear", anti_aliasing: bool = True) -> None:
        if size < 1:
            raise ValueError(f"expected a size of at least 1 pixel, got {size}")
        if mode not in ("bilinear", "nearest"):
            raise ValueError(f"expected mode 'bilinear' or 'nearest', got {mode!r}")
        self.size = size
        self.mode = mode
        self.anti_aliasing = anti_aliasing and mode == "bilinear"

    def __call__(
        self, img: torch.Tensor, *, box: Box | None = None, angle: float = 0.0, flip: bool = False
    ) -> torch.Tensor:
        """
        Args:
            img: (C, H, W), any size.
            box: top, left, height, width of the crop, in pixels of the image once resized to (S, S); None for all.
            angle: rotation about the centre in degrees, counter-clockwise as the image is looked at.
            flip: whether to turn the first spatial axis (H) around, last.

        Returns:
            (C, S, S), float32, a plain tensor: an augmented slice has no place in the patient any more.
        """
        plain = convert_to_tensor(img, dtype=torch.float32, track_meta=False)
        if plain.ndim != 3:
            raise ValueError(f"expected an image (C, H, W), got shape {tuple(plain.shape)}")
        return self.batch(plain[None], boxes=[box or (0, 0, self.size, self.size)], angles=[angle], flips=[flip])[0]

    def batch(
        self, images: torch.Tensor, *, boxes: Sequence[Box], angles: Sequence[float], flips: Sequence[bool]
    ) -> torch.Tensor:
        """The same for a batch on its own device, each image with parameters of its own, in one resampling.

        Args:
            images: (B, C, H, W), any size.
            boxes: B crops as above.
            angles: B rotations in degrees.
            flips: B flips of the first spatial axis.

        Returns:
            (B, C, S, S), float32, plain tensors.
        """
        plain = convert_to_tensor(images, dtype=torch.float32, track_meta=False)
        if plain.ndim != 4 or not len(plain) == len(boxes) == len(angles) == len(flips):
            raise ValueError(
                f"expected images (B, C, H, W) with B boxes, angles and flips, got shape {tuple(plain.shape)} with "
                f"{len(boxes)}, {len(angles)} and {len(flips)}"
            )
        turned = self._rotated_grid(angles, flips, plain.device)  # (B, S, S, 2)
        inside = (turned.abs() <= 1).all(-1)  # (B, S, S), False where the rotation looks out of the crop
        # x before y, as `grid_sample` has them; pixels, the middles doubled
        crops = [([width, height], [2 * left + width, 2 * top + height]) for top, left, height, width in boxes]
        # (B, 2) each: share of the side, and middle in [0, 2]
        scale, centre = (torch.tensor(crops, dtype=torch.float32) / self.size).to(plain.device).unbind(1)
        # border padding, as resizing has it; zeros outside of the crop come from `inside`
        grid = turned * scale[:, None, None] + (centre[:, None, None] - 1)  # (B, S, S, 2)
        smooth = self._smooth(plain.flatten(0, 1), grid[..., 1]).reshape(plain.shape)  # (B, C, H, W)
        out = grid_sample(smooth, grid, self.mode, padding_mode="border", align_corners=False)
        return out * inside[:, None]

    def _rotated_grid(self, angles: Sequence[float], flips: Sequence[bool], device: torch.device) -> torch.Tensor:
        """Sampling grid from output pixels into the crop: (B, S, S, 2), x then y, the crop spans [-1, 1]."""
        rows = []
        for angle, flip in zip(angles, flips, strict=True):
            cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            sign = -1.0 if flip else 1.0
            rows.append([[cos, -sin * sign, 0.0], [sin, cos * sign, 0.0]])
        theta = torch.tensor(rows).to(device)  # (B, 2, 3)
        return affine_grid(theta, [len(rows), 1, self.size, self.size], align_corners=False)

    def _smooth(self, img: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """The Gaussian that MONAI's and scikit-image's resize put before downsampling, sampled at rows in [-1, 1]."""
        # pixels of the image, along rows and columns
        sigma = tuple(max(0.0, (side / self.size - 1) / 2) for side in img.shape[1:])
        if not self.anti_aliasing or max(sigma) == 0:
            return img
        return smoothed(img, (sigma[0], sigma[1]), ((at + 1) * img.shape[1] - 1) / 2)
