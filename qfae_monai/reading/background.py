"""Background of a volume: the one definition for tensors and arrays, which loads neither torch nor MONAI."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Background", "background_of", "evenly_taken", "in_memory_order"]

# shares of the intensity range
BACKGROUND_TOLERANCE = 1e-5  # resampling a constant background leaves round-off, which is not tissue
RINGING = 1e-3  # what interpolation leaves around a background that it overshoots

# shares of all voxels
SURE = 0.2  # at the minimum: no other value can be TIMES as frequent
LEAST = 0.1  # at another value, for that to be a background rather than noise
TIMES = 4  # as frequent as the minimum is another background, at least
LOW_END = 3  # times as much lies above a background at the low end as below it, in sums of differences to it

MOST_VOXELS = 2_000_000  # of `evenly_taken`: a percentile of so many is known to a thousandth of a rank
BLOCK = 1 << 20  # voxels counted at a time

Rule = Literal["minimum", "zero", "most frequent"]


@dataclass(frozen=True)
class Background:
    """Background of a volume: its value, and the bounds beyond which values are foreground.

    Attributes:
        value: of the background, in the unit of the volume.
        floor: above it is foreground.
        rule: how it was found: the volume's `minimum`, `zero`, or the `most frequent` value at the low end.
        ceiling: below it is foreground too, of volumes whose tissue lies on both sides of the background (z-scores
            around a background of zero); None otherwise.
        share_below: of the voxels, in [0, 1], that lie below the background without being foreground: overshoot of an
            interpolation.
        minimum: of the volume.

    Example:
        >>> overshot = np.array([0.0] * 80 + [-7.0] * 2 + list(range(60, 78)))
        >>> found = background_of(overshot)
        >>> found.value, int(found.foreground(overshot).sum())
        (0.0, 18)
        >>> str(found)
        'zero; 2.0 % of the voxels lie below it, down to -7'
    """

    value: float
    floor: float
    rule: Rule
    minimum: float
    ceiling: float | None = None
    share_below: float = 0.0

    def foreground(self, values: Any) -> Any:
        """Mask of the foreground: an array or tensor of any shape to booleans of the same shape."""
        above = values > self.floor
        return above if self.ceiling is None else above | (values < self.ceiling)

    @property
    def name(self) -> str:
        """Value and how it was found, such as `zero` or `minimum -1024`."""
        return "zero" if self.value == 0 else f"{self.rule} {self.value:.6g}"

    def __str__(self) -> str:
        name = self.name
        if self.ceiling is not None:
            return f"{name}, with tissue above and below it"
        if not self.share_below:
            return name
        return f"{name}; {100 * self.share_below:.1f} % of the voxels lie below it, down to {self.minimum:.6g}"


def background_of(values: Any, counts: NDArray[Any] | None = None) -> Background:
    """The background of a volume: the most frequent value at its low end, or zero where zero is.

    That is the minimum of most volumes: skull-stripped ones, windowed CT, slices scaled to [0, 1]. Resampling that
    overshoots leaves voxels below the background; z-scores may leave it in their middle, at zero. Where no value is
    frequent (noise, air of CT), nothing is known of a background: only the minimum is.

    Args:
        values: array or tensor of any shape and unit, finite.
        counts: (values,), how many voxels have each of them, above 0; None where each value is a voxel.
    """
    flat = in_memory_order(values)
    low, high = float(flat.min()), float(flat.max())
    floor = low + BACKGROUND_TOLERANCE * (high - low)
    minimum = Background(low, floor, "zero" if low == 0 else "minimum", low)
    total = len(flat) if counts is None else int(counts.sum())  # voxels
    at_minimum = _voxels(flat <= floor, counts) / total  # share
    if at_minimum >= SURE or low >= 0 >= low - BACKGROUND_TOLERANCE * (high - low):
        return minimum
    if not isinstance(flat, np.ndarray):  # a tensor of another device
        flat = flat.float().cpu().numpy()
    return _above_the_minimum(flat, counts, low, high, at_minimum) or minimum


def evenly_taken(array: NDArray[Any], most: int = MOST_VOXELS) -> NDArray[Any]:
    """At most so many voxels, evenly taken from all of them: (voxels,), float64, finite where the array is."""
    step = max(1, -(-array.size // most))
    while gcd(step, prod(array.shape)) > 1 < step:  # a step that divides a row would look at some columns only
        step += 1
    return array.ravel(order="K")[::step].astype(np.float64)


def in_memory_order(values: Any) -> Any:
    """All values in one row, as they lie in memory, which costs a dense array or tensor no copy; CPU tensors as array.

    Args:
        values: array or tensor of any shape.
    """
    if isinstance(values, np.ndarray):
        return values.ravel(order="K")
    slowest_first = sorted(range(values.ndim), key=values.stride, reverse=True)
    flat = values.detach().permute(slowest_first).reshape(-1)
    if flat.device.type != "cpu":
        return flat
    return (flat.float() if flat.is_floating_point() else flat).numpy()  # bfloat16 is none of NumPy's


def _above_the_minimum(
    flat: NDArray[Any], counts: NDArray[Any] | None, low: float, high: float, at_minimum: float
) -> Background | None:
    """A background that is not the minimum; None where there is none.

    Args:
        flat: (voxels,) finite.
        counts: as in `background_of`.
        low, high: of them.
        at_minimum: share of them at the minimum.
    """
    width = BACKGROUND_TOLERANCE * (high - low)  # of a bin, in the unit of the volume
    first, bins = _histogram(flat, counts, low, high, width)
    total = int(bins.sum())  # voxels
    zero = -first if 0 <= -first < len(bins) else None
    needed = max(LEAST, TIMES * at_minimum) * total  # voxels
    rule: Rule = "zero" if zero is not None and bins[zero] >= needed else "most frequent"
    place = int(bins.argmax()) if zero is None or rule != "zero" else zero
    if bins[place] < needed:
        return None
    middle = (first + place) * width  # of the bin, in the unit of the volume
    value = 0.0 if rule == "zero" else _mean(flat, counts, np.abs(flat - middle) <= width)
    at_low_end = LOW_END * _sum(value - flat, counts) <= _sum(flat - value, counts)
    if at_low_end:
        share = _voxels(flat < value - width, counts) / total
        return Background(value, value + RINGING * (high - low), rule, low, share_below=share)
    return Background(value, value + width, rule, low, ceiling=value - width) if rule == "zero" else None


def _voxels(which: Any, counts: NDArray[Any] | None) -> int:
    """How many voxels have the values that a mask tells."""
    if counts is not None:
        return int(counts[which].sum())
    return int(np.count_nonzero(which) if isinstance(which, np.ndarray) else which.sum())


def _mean(flat: NDArray[Any], counts: NDArray[Any] | None, which: NDArray[np.bool_]) -> float:
    if counts is None:
        return float(flat[which].mean(dtype=np.float64))
    return float(np.average(flat[which].astype(np.float64), weights=counts[which]))


def _sum(differences: NDArray[Any], counts: NDArray[Any] | None) -> float:
    """Of those above 0."""
    above = differences.clip(min=0)
    return float(above.sum(dtype=np.float64) if counts is None else above.astype(np.float64) @ counts)


def _histogram(
    flat: NDArray[Any], counts: NDArray[Any] | None, low: float, high: float, width: float
) -> tuple[int, NDArray[np.int64]]:
    """Number of the first bin, and voxels by bin; zero is the middle of bin 0. Nothing is sorted or copied whole."""
    first, last = round(low / width), round(high / width)  # numbers of bins; the first is below 0 where values are
    found = np.zeros(last - first + 1, dtype=np.int64)  # (bins,) voxels
    for start in range(0, flat.size, BLOCK):
        block = slice(start, start + BLOCK)
        bins = (np.rint(flat[block] / width).astype(np.int64) - first).clip(0, last - first)
        if counts is None:
            found += np.bincount(bins, minlength=len(found))
        else:
            np.add.at(found, bins, counts[block])
    return first, found
