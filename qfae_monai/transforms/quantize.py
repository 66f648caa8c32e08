"""Grey levels of a slice: its own minimum to maximum, or a fixed range, to 8 or 16 bits; as published recipes do."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor, get_track_meta
from monai.transforms import Transform
from monai.utils import convert_to_dst_type, convert_to_numpy, convert_to_tensor

from qfae_monai.transforms.images import BITS_KEY
from qfae_monai.transforms.volume_check import source_name

__all__ = ["QuantizeSlice"]

# what matplotlib's grey colour map makes of its 256 entries: 24 come out one lower, by truncation
IMSAVE_LEVELS = np.floor(np.linspace(0, 1, 256) * 255).astype(np.uint8)


class QuantizeSlice(Transform):
    """Scale a range linearly to 0 .. 2**bits - 1 and make integers of it.

    Args:
        bits: 8 or 16.
        low: value that becomes 0; None is the minimum of each slice.
        high: value that becomes 2**bits - 1; None is the maximum of each slice. Values beyond a given range
            are clipped.
        rounding: "nearest" integer (halves to even), or "imsave", for 8 bits: 256 bins of equal width and a grey map
            with 24 levels one lower, which is what matplotlib's `imsave` writes and the published BTCV and LiTS
            slices went through.
        constant: what a slice without a range of its own gives: "refuse" is an error, "zero" is a slice of zeros (the
            published recipes').

    Example:
        >>> QuantizeSlice(rounding="nearest")(torch.tensor([[[-2.0, 0.0, 2.0]]])).tolist()
        [[[0, 128, 255]]]
        >>> QuantizeSlice(low=-200, high=250)(torch.tensor([[[-1000.0, 25.0, 900.0]]])).tolist()
        [[[0, 128, 255]]]
    """

    def __init__(
        self,
        bits: int = 8,
        *,
        low: float | None = None,
        high: float | None = None,
        rounding: str = "imsave",
        constant: str = "refuse",
    ) -> None:
        if rounding not in ("nearest", "imsave") or constant not in ("refuse", "zero"):
            raise ValueError(
                f"expected rounding 'nearest' or 'imsave' and constant 'refuse' or 'zero', "
                f"got {rounding!r} and {constant!r}"
            )
        if bits not in ((8, 16) if rounding == "nearest" else (8,)):
            raise ValueError(f"expected 8 bits, or 16 with rounding 'nearest', got {bits} and {rounding!r}")
        if low is not None and high is not None and not low < high:
            raise ValueError(f"expected low < high, got {low} and {high}")
        self.bits, self.low, self.high, self.rounding, self.constant = bits, low, high, rounding, constant

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: (1, H, W), any intensity unit.

        Returns:
            (1, H, W): uint8 in 0..255, or int32 in 0..65535 (torch has little for uint16); `meta["bits"]` tells the
            depth.

        Raises:
            ValueError: when the image is not one slice (a volume has no range per slice), has NaN or infinite pixels,
                or is constant and that is to be refused.
        """
        image = convert_to_tensor(img, track_meta=get_track_meta())
        if image.ndim != 3 or image.shape[0] != 1 or 0 in image.shape:
            raise ValueError(f"{source_name(image)}: expected one slice (1, H, W), got shape {tuple(image.shape)}")
        values = convert_to_numpy(image).astype(np.float64)  # a copy, which the steps behind it change in place
        levels = self._levels(self._unit(values, source_name(image)))
        dtype = torch.uint8 if self.bits == 8 else torch.int32
        out: torch.Tensor = convert_to_dst_type(levels, image, dtype=dtype)[0]
        if isinstance(out, MetaTensor):
            out.meta[BITS_KEY] = self.bits
        return out

    def _unit(self, values: np.ndarray, name: str) -> np.ndarray:
        """The range to [0, 1], in place."""
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            bad = int((~np.isfinite(values)).sum())
            raise ValueError(f"{name}: expected finite pixels, got {bad} of {values.size} NaN or infinite")
        low = low if self.low is None else self.low
        high = high if self.high is None else self.high
        if not high > low:
            if self.constant == "refuse":
                raise ValueError(f"{name}: expected a slice with a range of values, got {low:g} to {high:g}")
            return np.zeros_like(values)
        values -= low
        values /= high - low
        return values.clip(0, 1, out=values)

    def _levels(self, unit: np.ndarray) -> np.ndarray:
        if self.rounding == "imsave":
            unit *= 256  # bins; the maximum itself falls into the last one
            return IMSAVE_LEVELS[np.minimum(unit, 255, out=unit).astype(np.uint8)]
        unit *= 2**self.bits - 1
        return np.rint(unit, out=unit).astype(np.int32 if self.bits > 8 else np.uint8)
