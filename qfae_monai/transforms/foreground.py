"""Foreground of a volume, and intensity scaling by percentiles inside it (MONAI's count the background too)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import get_track_meta
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor
from numpy.typing import NDArray

from qfae_monai.reading.background import Background, background_of
from qfae_monai.transforms.volume_check import source_name

__all__ = [
    "ScaleIntensityForegroundPercentiles",
    "ScaleIntensityForegroundPercentilesd",
    "foreground_mask",
    "foreground_percentiles",
    "percentiles",
]


def foreground_mask(img: torch.Tensor) -> torch.Tensor:
    """Voxels that are not background, see `qfae_monai.reading.background.background_of`.

    Right for images whose background is one constant (skull-stripped, z-normalised, windowed CT), also where resampling
    overshot it; where the background is noise, nearly every voxel is foreground.

    Args:
        img: (1, X, Y, Z) or any other shape, any intensity unit.

    Returns:
        Boolean tensor of the same shape; all False for a constant image.

    Example:
        >>> foreground_mask(torch.tensor([-3.0, -3.0, 0.0, 2.0])).tolist()
        [False, False, True, True]
    """
    return background_of(img).foreground(img)


class ScaleIntensityForegroundPercentiles(Transform):
    """Map two percentiles of the foreground to 0 and 1, clip, and set the background to 0.

    Args:
        lower: percentile that becomes 0, in [0, 100).
        upper: percentile that becomes 1, in (`lower`, 100].

    Raises:
        ValueError: when the percentiles are not in that order.
    """

    def __init__(self, lower: float = 0.5, upper: float = 99.5) -> None:
        if not 0 <= lower < upper <= 100:
            raise ValueError(f"expected percentiles 0 <= lower < upper <= 100, got lower {lower} and upper {upper}")
        self.lower = lower
        self.upper = upper

    def __call__(self, img: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            img: (1, X, Y, Z), any intensity unit.
            mask: (1, X, Y, Z), foreground where above 0.5; the voxels that are not background when None.

        Returns:
            (1, X, Y, Z), float32 in [0, 1].

        Raises:
            ValueError: when the mask has another shape, when there is no foreground, or when it is constant.
        """
        img = convert_to_tensor(img, dtype=torch.float32, track_meta=get_track_meta())
        values = convert_to_tensor(img, track_meta=False)
        inside = self._inside(img, values, mask)  # (1, X, Y, Z) boolean
        low, high = percentiles(values[inside].cpu().numpy(), self.lower, self.upper)  # in the unit of the image
        if not high > low:
            raise ValueError(
                f"{source_name(img)}: expected different foreground intensities at percentiles {self.lower} and "
                f"{self.upper}, got {low:g} at both"
            )
        scaled = ((values - low) / (high - low)).clamp(0, 1) * inside  # (1, X, Y, Z) in [0, 1]
        return convert_to_dst_type(scaled, img)[0]  # with the affine and the file name of the image

    @staticmethod
    def _inside(img: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if mask is None:
            inside = foreground_mask(values)
        elif mask.shape != img.shape:
            raise ValueError(
                f"mask {source_name(mask)} and image {source_name(img)}: expected one shape, "
                f"got {tuple(mask.shape)} and {tuple(img.shape)}"
            )
        else:
            inside = convert_to_tensor(mask, track_meta=False) > 0.5  # masks on disk may top out just below 1
        if not inside.any():
            raise ValueError(f"{source_name(img)}: expected some foreground, got none of {img.numel()} voxels")
        return inside


class ScaleIntensityForegroundPercentilesd(MapTransform):
    """Dictionary twin of `ScaleIntensityForegroundPercentiles`.

    Args:
        keys: keys of the images.
        lower: percentile that becomes 0.
        upper: percentile that becomes 1.
        mask_key: key of a foreground mask; None takes the voxels of each volume that are not its
            background.
        allow_missing_keys: whether an image's key may be absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        lower: float = 0.5,
        upper: float = 99.5,
        mask_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scaler = ScaleIntensityForegroundPercentiles(lower, upper)
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        mask = None if self.mask_key is None else d[self.mask_key]
        for key in self.key_iterator(d):
            d[key] = self.scaler(d[key], mask)
        return d


# Percentiles of the foreground: the one definition for tensors and arrays, in training and preparation.


def percentiles(values: NDArray[Any], lower: float, upper: float) -> tuple[float, float]:
    """Two percentiles of all values, interpolated between neighbours in rank as `numpy.percentile` does."""
    first, last = np.percentile(values, (lower, upper))
    return float(first), float(last)


def foreground_percentiles(
    array: NDArray[Any], lower: float, upper: float, *, background: Background | None = None
) -> tuple[float, float]:
    """Two percentiles of the foreground; every voxel counts.

    Args:
        array: (X, Y, Z), any unit.
        lower: percentile, in [0, 100).
        upper: percentile, in (`lower`, 100].
        background: of the array, where it is known already.

    Raises:
        ValueError: when the percentiles are not in that order, voxels are NaN or infinite, or all are equal.

    Example:
        >>> foreground_percentiles(np.arange(101.0).reshape(101, 1, 1), 0, 100)
        (1.0, 100.0)
    """
    if not 0 <= lower < upper <= 100:
        raise ValueError(f"expected percentiles 0 <= lower < upper <= 100, got {lower} and {upper}")
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        raise ValueError(f"expected finite voxels that vary, got {low:g} to {high:g}")
    flat = array.ravel(order="K")  # (voxels,) in the order of memory, which spares a copy
    return percentiles(flat[(background or background_of(flat)).foreground(flat)], lower, upper)
