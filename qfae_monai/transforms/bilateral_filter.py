"""Bilateral filter of 8-bit slices, cv2's as the paper prepares LiverCT (MONAI's needs a compiled extension)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from monai.data import get_track_meta
from monai.transforms import Transform
from monai.utils import convert_to_dst_type, convert_to_numpy, convert_to_tensor

from qfae_monai.transforms.bit_depth import check_8_bit_slice

__all__ = ["BilateralFilter"]


class BilateralFilter(Transform):
    """Smooth within edges: neighbours count by their distance and by how much their grey value differs.

    Args:
        diameter: of the neighbourhood, in pixels.
        sigma_color: of the Gaussian over differences of grey values, in grey values.
        sigma_space: of the Gaussian over distances, in pixels.

    Example:
        >>> step = torch.tensor([[[0, 0, 255, 255]] * 4], dtype=torch.uint8)
        >>> BilateralFilter()(step)[0, 0].tolist()
        [1, 1, 254, 254]
    """

    def __init__(self, diameter: int = 9, sigma_color: float = 75.0, sigma_space: float = 75.0) -> None:
        if diameter < 1 or not sigma_color > 0 or not sigma_space > 0:
            raise ValueError(
                f"expected a diameter of at least 1 pixel and positive sigmas, "
                f"got {diameter}, {sigma_color} and {sigma_space}."
            )
        self.diameter, self.sigma_color, self.sigma_space = diameter, sigma_color, sigma_space

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: (C, H, W), uint8 in 0..255; channels are filtered one by one.

        Returns:
            (C, H, W), uint8 in 0..255.

        Raises:
            ValueError: when the image is of another shape or dtype.
        """
        image = convert_to_tensor(img, track_meta=get_track_meta())
        check_8_bit_slice(image)
        planes = [np.ascontiguousarray(plane) for plane in convert_to_numpy(image)]
        smooth = [cv2.bilateralFilter(plane, self.diameter, self.sigma_color, self.sigma_space) for plane in planes]
        out: torch.Tensor = convert_to_dst_type(np.stack(smooth), image, dtype=torch.uint8)[0]
        return out
