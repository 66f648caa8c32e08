"""Bilateral filter, histogram equalisation over non-zero pixels and lift of dark values, as published for LiverCT."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from monai.data import get_track_meta
from monai.transforms import Transform
from monai.utils import convert_to_dst_type, convert_to_numpy, convert_to_tensor

from qfae_monai.transforms.bit_depth import check_8_bit_slice

__all__ = ["BilateralFilter", "EqualizeNonzero"]

# Bilateral filter of 8-bit slices, cv2's as the paper prepares LiverCT (MONAI's needs a compiled extension).


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
                f"got {diameter}, {sigma_color} and {sigma_space}"
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
        planes = [np.ascontiguousarray(plane) for plane in convert_to_numpy(image)]  # (H, W) each, as cv2 takes them
        smooth = [cv2.bilateralFilter(plane, self.diameter, self.sigma_color, self.sigma_space) for plane in planes]
        out: torch.Tensor = convert_to_dst_type(np.stack(smooth), image, dtype=torch.uint8)[0]
        return out


LEVELS = 256  # grey values of 8 bits


class EqualizeNonzero(Transform):
    """Replace each grey value by floor(255 * CDF), the CDF over non-zero pixels alone; then lift the dark values.

    0 is outside of the organ and stays 0. The lift keeps the organ apart from it: with the recipe's knee 150 and floor
    30 the values 1..149 become v / 150 * 120 + 30, truncated to integers; the others stay. A value so rare that its CDF
    is below 1 / 255 becomes 0 as well, lifted or not, as published.

    Args:
        lift: (knee, floor) in grey values: 0 < v < knee becomes v / knee * (knee - floor) + floor. None for no lift.

    Example:
        >>> img = torch.tensor([[[0, 10, 10, 20, 20]]], dtype=torch.uint8)
        >>> EqualizeNonzero(lift=None)(img).flatten().tolist()
        [0, 127, 127, 255, 255]
        >>> EqualizeNonzero()(img).flatten().tolist()
        [0, 131, 131, 255, 255]
    """

    def __init__(self, lift: tuple[int, int] | None = (150, 30)) -> None:
        if lift is not None and not 0 <= lift[1] < lift[0] < LEVELS:
            raise ValueError(f"expected a lift 0 <= floor < knee < {LEVELS}, got knee {lift[0]} and floor {lift[1]}")
        self.lift = None if lift is None else (int(lift[0]), int(lift[1]))

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: (C, H, W), uint8 in 0..255, 0 outside of the organ; one histogram over all channels.

        Returns:
            (C, H, W), uint8 in 0..255; zeros for zeros, an empty image for an empty one.

        Raises:
            ValueError: when the image is of another shape or dtype.
        """
        image = convert_to_tensor(img, track_meta=get_track_meta())
        check_8_bit_slice(image)
        values = convert_to_numpy(image)
        out: torch.Tensor = convert_to_dst_type(self._table(values)[values], image, dtype=torch.uint8)[0]
        return out

    def _table(self, values: np.ndarray) -> np.ndarray:
        """(256,) new value of each grey value, uint8."""
        counts = np.bincount(values.ravel(), minlength=LEVELS)  # (256,) pixels of each grey value
        counts[0] = 0  # outside of the organ
        if not counts.any():
            return np.zeros(LEVELS, np.uint8)
        # divided twice, as in the published script: its round-off decides between 254 and 255
        shares = counts / np.linalg.norm(counts)
        table = np.floor((LEVELS - 1) * np.cumsum(shares / shares.sum())).astype(np.uint8)  # (256,), in 0..255
        if self.lift is not None:
            knee, floor = self.lift
            dark = (table > 0) & (table < knee)
            table[dark] = (table[dark].astype(np.float64) / knee * (knee - floor) + floor).astype(np.uint8)
        return table
