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

from qfae_monai.reading.background import Background, background_of, in_memory_order
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

    def __call__(
        self, img: torch.Tensor, mask: torch.Tensor | None = None, counts: NDArray[Any] | None = None
    ) -> torch.Tensor:
        """
        Args:
            img: (1, X, Y, Z), any intensity unit.
            mask: (1, X, Y, Z), foreground where above 0.5; the voxels that are not background when None.
            counts: how many voxels of a volume have each value of `img`, in their order; None where each is a voxel.

        Returns:
            (1, X, Y, Z), float32 in [0, 1].

        Raises:
            ValueError: when the mask has another shape, when there is no foreground, or when it is constant.
        """
        img = convert_to_tensor(img, dtype=torch.float32, track_meta=get_track_meta())
        values = convert_to_tensor(img, track_meta=False)
        inside = self._inside(img, values, mask, counts)  # (1, X, Y, Z) boolean
        kept = in_memory_order(inside.cpu())  # (voxels,) boolean
        row = in_memory_order(values.cpu())[kept]
        low, high = percentiles(row, self.lower, self.upper, None if counts is None else counts[kept])
        if not high > low:
            raise ValueError(
                f"{source_name(img)}: expected different foreground intensities at percentiles {self.lower} and "
                f"{self.upper}, got {low:g} at both"
            )
        scaled = values - low  # the one copy: what follows happens in place
        scaled /= high - low
        scaled.clamp_(0, 1)
        scaled *= inside  # (1, X, Y, Z) in [0, 1]
        return convert_to_dst_type(scaled, img)[0]  # with the affine and the file name of the image

    @staticmethod
    def _inside(
        img: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, counts: NDArray[Any] | None
    ) -> torch.Tensor:
        if mask is None:
            inside = background_of(values, counts).foreground(values)
        elif mask.shape != img.shape:
            raise ValueError(
                f"mask {source_name(mask)} and image {source_name(img)}: expected one shape, "
                f"got {tuple(mask.shape)} and {tuple(img.shape)}"
            )
        else:
            within = convert_to_tensor(mask, track_meta=False) > 0.5  # masks on disk may top out just below 1
            inside = torch.empty_like(values, dtype=torch.bool).copy_(within)  # in the memory order of the values
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


def percentiles(
    values: NDArray[Any], lower: float, upper: float, counts: NDArray[Any] | None = None
) -> tuple[float, float]:
    """Two percentiles of all values, interpolated between neighbours in rank as `numpy.percentile` does.

    Args:
        values: (values,); ascending where they are counted.
        lower, upper: in [0, 100].
        counts: (values,), how often each occurs, at least once; None for once.

    Example:
        >>> percentiles(np.array([1.0, 2.0, 4.0]), 50, 90, counts=np.array([1, 1, 2])) == (3.0, 4.0)
        True
    """
    if counts is None:
        first, last = np.percentile(values, (lower, upper))
        return float(first), float(last)
    ends = np.cumsum(counts)  # (values,), rank behind the last voxel of each
    first, last = (_at_rank(values, ends, (int(ends[-1]) - 1) * (share / 100)) for share in (lower, upper))
    return first, last


def _at_rank(values: NDArray[Any], ends: NDArray[Any], rank: float) -> float:
    """Value at a rank from 0 that may lie between two voxels: numpy's linear interpolation, to the bit."""
    below = int(rank)
    part = rank - below  # of the way to the next
    before, behind = (values[np.searchsorted(ends, min(place, ends[-1] - 1), "right")] for place in (below, below + 1))
    difference = float(behind - before)  # in the values' own type, as numpy takes it
    return float(before) + difference * part if part < 0.5 else float(behind) - difference * (1 - part)


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
    flat = in_memory_order(array)  # (voxels,)
    return percentiles(flat[(background or background_of(flat)).foreground(flat)], lower, upper)
