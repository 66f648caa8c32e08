"""A map's values against its lesions in a few kilobytes: histograms whose bins are the leading bits of a float32.

Bins are as fine as the values ask for. Maps whose values spread over octaves keep `FINE_BITS`. Where most values share
a few bins, as those of a map with an offset do, more bits are kept, each map by itself; of several maps together, the
fewest bits of all. That is what counting with those bits would have given, in any order and on any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from qfae_monai.evaluation import counts

FINE_BITS = 20
"""Sign, exponent and 11 bits of the mantissa: values closer than 1 in 2000 share a bin and count as ties."""

COARSE_BITS = 16
"""Sign, exponent and 7 bits of the mantissa: values closer than 1 in 128 are ties. For one case among many."""

MOST_BITS = 31
"""All of a float32 but its last bit."""

DENSE_BITS = 24
"""Up to so many, a number is counted for each bin that could be used; beyond, bins are sorted."""

FEW_BINS = 32
"""Fewer bins than this that hold the bulk of a map's values are too few to rank them."""


def ordered_bins(values: ArrayLike, bits: int = FINE_BITS) -> NDArray[np.int32]:
    """Bin numbers in the order of the values: the leading bits of each float32, negative numbers turned around.

    Args:
        values: any shape, finite.
        bits: leading bits kept, 10 (sign, exponent and 1 bit) to 31.

    Returns:
        Same shape, in [0, 2**bits). 0.0 and -0.0 share a bin.

    Raises:
        ValueError: for NaN or infinite values.
    """
    plain = np.asarray(values, dtype=np.float32) + np.float32(0)  # + 0 turns -0.0 into 0.0
    if not np.isfinite(plain).all():
        raise ValueError(f"expected finite map values, got {int((~np.isfinite(plain)).sum())} NaN or infinite ones")
    pattern = plain.view(np.int32)  # the 32 bits of each float
    # sign bit set: larger patterns are smaller numbers, so all bits are turned around; else the sign bit alone
    ordered = (pattern ^ ((pattern >> 31) | np.int32(-(1 << 31)))).view(np.uint32)
    return (ordered >> np.uint32(32 - bits)).view(np.int32)


def used_bins(bins: NDArray[np.int32], bits: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Bins that are used, ascending, and how many pixels lie in each: counted, and sorted only where bins are many.

    Args:
        bins: of all pixels, any shape, none negative.
        bits: that the bins have.
    """
    if bits > DENSE_BITS:
        used, pixels = np.unique(bins, return_counts=True)
        return used.astype(np.int32), pixels.astype(np.int64)
    pixels = np.bincount(bins.ravel(order="K"))  # as they lie in memory: in any order they are as many
    place = np.flatnonzero(pixels)
    return place.astype(np.int32), pixels[place]


def upper_values(bins: ArrayLike, bits: int = FINE_BITS) -> NDArray[np.float32]:
    """Largest float32 of each bin; the inverse of `ordered_bins`.

    >>> bool(upper_values(ordered_bins(0.3)) >= np.float32(0.3))
    True
    """
    ordered = ((np.asarray(bins, dtype=np.uint64) + 1) << np.uint64(32 - bits)) - np.uint64(1)
    ordered = ordered.astype(np.uint32)
    # -0.0 lies with 0.0: the largest below is the next float32
    below = np.maximum(~ordered, np.uint32(0x80000001))
    return np.where(ordered >> 31, ordered & np.uint32(0x7FFFFFFF), below).astype(np.uint32).view(np.float32)


@dataclass(frozen=True)
class MapHistogram:
    """Counts of normal and lesion pixels by map value.

    bins: (K,) int32, ascending, those that are used; see `ordered_bins`.
    normal, lesion: (K,) int64, pixels in each bin.
    region: (K,) float64, lesion pixels, each weighing 1 / size of its region.
    regions: number of regions (connected components of the mask).
    bits: leading bits kept.
    """

    bins: NDArray[np.int32]
    normal: NDArray[np.int64]
    lesion: NDArray[np.int64]
    region: NDArray[np.float64]
    regions: int
    bits: int = FINE_BITS

    @classmethod
    def of(cls, values: ArrayLike, lesion_labels: ArrayLike, bits: int = FINE_BITS) -> MapHistogram:
        """Count one map.

        Args:
            values: map values, any shape, finite.
            lesion_labels: same shape; number of the region a pixel belongs to (1, 2, ...), 0 for none. A region's size
                is the number of its pixels here: what was not scored does not count.
            bits: leading bits kept.

        Raises:
            ValueError: for NaN or infinite values, or unequal shapes.
        """
        labels = np.asarray(lesion_labels)
        if np.shape(values) != labels.shape:
            raise ValueError(f"expected map and mask of one shape, got {np.shape(values)} and {labels.shape}")
        bins, inside = ordered_bins(values, bits), labels > 0
        held = np.flatnonzero(inside.any(axis=tuple(range(1, inside.ndim))))  # the few slices with a lesion
        inside = inside[held]
        own, own_bins = labels[held][inside].astype(np.intp), bins[held][inside]  # of each lesion pixel
        used, pixels = used_bins(bins, bits)  # (K,) each
        place = np.searchsorted(used, own_bins)  # of each lesion pixel among them
        lesion = np.bincount(place, minlength=len(used))
        sizes = np.bincount(own)  # pixels of each region; those not scored are 0
        region = np.bincount(place, weights=1 / sizes[own], minlength=len(used)).astype(np.float64)
        return cls(used, pixels - lesion, lesion, region, int(np.count_nonzero(sizes)), bits)

    @classmethod
    def fitted(cls, values: ArrayLike, lesion_labels: ArrayLike) -> MapHistogram:
        """As `of`, with `FINE_BITS`, or more where the values fill few bins."""
        found = cls.of(values, lesion_labels)
        return cls.of(values, lesion_labels, MOST_BITS).fitting(FINE_BITS) if found.crowded else found

    def fitting(self, bits: int) -> MapHistogram:
        """With as many bits as asked for; where these make it crowded, with the most that keep it small.

        Small is 2 ** (bits - 4) bins, 4,096 of 16 bits and 65,536 of 20, or no more than with the bits asked for: a map
        of few values keeps all bits, so that it takes none from the maps that it is merged with.
        """
        found = self.coarser(bits)
        if not found.crowded:
            return found
        small = max(2 ** (bits - 4), len(found.bins))
        fitting = [kept for kept in range(bits, self.bits + 1) if self._count(kept) <= small]
        return self.coarser(max(fitting))

    def _count(self, bits: int) -> int:
        """Bins that are used with fewer bits; these lie in order."""
        return 1 + int(np.count_nonzero(np.diff(self.bins >> (self.bits - bits))))

    @property
    def spread(self) -> float:
        """Effective number of bins (inverse Simpson index) but for the fullest one: a background has a single value."""
        pixels = np.sort(self.normal + self.lesion)[:-1].astype(np.float64)
        return float(pixels.sum() ** 2 / np.square(pixels).sum()) if len(pixels) else 0.0

    @property
    def crowded(self) -> bool:
        """Whether most values share fewer bins than `FEW_BINS`, each of them many pixels."""
        pixels = int((self.normal + self.lesion).sum())
        return self.spread < FEW_BINS and pixels > 8 * max(self.spread, 1)

    @classmethod
    def merge(cls, parts: Sequence[MapHistogram], bits: int = FINE_BITS) -> MapHistogram:
        """Sum of histograms, with the fewest bits that one of them keeps; of none, an empty one."""
        parts = alike(parts)
        bits = parts[0].bits if parts else bits
        empty = cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 0, bits)
        joined = [
            np.concatenate([getattr(part, name) for part in (empty, *parts)])
            for name in ("bins", "normal", "lesion", "region")
        ]
        return cls._grouped(joined[0], joined[1:], sum(part.regions for part in parts), bits)

    def coarser(self, bits: int) -> MapHistogram:
        """The histogram that would have been counted with fewer bits.

        Raises:
            ValueError: if `bits` is more than there is.
        """
        if bits > self.bits:
            raise ValueError(f"expected at most the {self.bits} bits that were kept, got {bits}")
        weights = [self.normal, self.lesion, self.region]
        return self._grouped(self.bins >> (self.bits - bits), weights, self.regions, bits)

    @classmethod
    def _grouped(cls, bins: NDArray[np.int32], weights: list[NDArray], regions: int, bits: int) -> MapHistogram:
        """Sum the entries that share a bin; weights: normal, lesion, region."""
        used, place = np.unique(bins, return_inverse=True)
        normal, lesion, region = (np.zeros(len(used), part.dtype) for part in weights)
        for total, part in zip((normal, lesion, region), weights, strict=True):
            np.add.at(total, place, part)  # `total[place] += part` would count a bin once
        return cls(used, normal, lesion, region, regions, bits)

    def average_precision_bounds(self) -> tuple[float, float]:
        """Average precision if the pixels of each bin were ranked against and for the lesions; NaN as that itself.

        Pixels in the bin of 0 stay tied: they are a background that has that very value.
        """
        if not (self.normal.any() and self.lesion.any()):
            return float("nan"), float("nan")
        alarms, found = (counts.from_above(part) for part in (self.normal, self.lesion))  # own bin included
        zero = self.bins == ordered_bins(0.0, self.bits)
        bounds = []
        for above in (alarms, alarms - self.normal):  # normal pixels that rank above a bin's lesion pixels
            before = found - self.lesion + above
            # sum over i = 1..lesion of the precision (found before + i) / (before + i)
            ranked = self.lesion - above * (digamma(before + self.lesion + 1) - digamma(before + 1))
            gained = np.where(zero, self.lesion * found / (found + alarms), ranked)
            bounds.append(float(gained.sum() / self.lesion.sum()))
        return bounds[0], bounds[1]

    def best_dice(self) -> tuple[float, float]:
        """Largest Dice of all pixels at once over all thresholds, and the threshold: values above it; NaN undefined."""
        if not self.lesion.any():
            return float("nan"), float("nan")
        alarms, found = (counts.from_above(part) for part in (self.normal, self.lesion))
        dice = 2 * found / (found + alarms + self.lesion.sum())
        best = int(dice.argmax())
        below = float(upper_values(self.bins[best] - 1, self.bits)) if self.bins[best] else -np.inf
        return float(dice[best]), below

    def dice(self, threshold: float) -> float:
        """Dice of all pixels at once above a threshold; those in the threshold's own bin count as not above."""
        above = self.bins > ordered_bins(threshold, self.bits)
        whole = int(self.lesion.sum())
        called = int((self.normal + self.lesion)[above].sum())
        return 2 * int(self.lesion[above].sum()) / (called + whole) if whole else float("nan")

    def auroc(self) -> float:
        """Area under the ROC curve over pixels; NaN without both kinds of pixels."""
        return float(counts.auroc(self.normal, self.lesion))

    def average_precision(self) -> float:
        """Average precision over pixels; NaN without both kinds of pixels."""
        return float(counts.average_precision(self.normal, self.lesion))

    def aupro(self, max_fpr: float = 0.3) -> float:
        """Area under the per-region overlap up to `max_fpr` (see `counts.aupro`); NaN without both kinds of pixels."""
        return float(counts.aupro(self.normal, self.region, self.regions, max_fpr))

    def false_positive_rate(self, threshold: float) -> float:
        """Share of normal pixels above a threshold; those in the threshold's own bin count as not above."""
        total = int(self.normal.sum())
        above = int(self.normal[self.bins > ordered_bins(threshold, self.bits)].sum())
        return above / total if total else float("nan")


def alike(parts: Sequence[MapHistogram]) -> list[MapHistogram]:
    """The same histograms with the fewest bits that one of them keeps; empty ones do not count."""
    bits = min((part.bits for part in parts if len(part.bins)), default=min((part.bits for part in parts), default=0))
    return [part.coarser(bits) if part.bits > bits else replace(part, bits=bits) for part in parts]
