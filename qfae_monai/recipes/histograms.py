"""Histograms of pixels before and after a recipe, one pair a split; kept with each source and added up at the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Histogram", "PixelSample", "add_up", "scale_to_unit"]

# The range of a volume that becomes [0, 1].


def scale_to_unit(plane: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """`low` to 0 and `high` to 1, clipped; float32."""
    scaled = plane.astype(np.float32)
    scaled -= np.float32(low)
    scaled *= np.float32(1 / (high - low))
    return scaled.clip(0, 1, out=scaled)


BINS = 64
STEP = 4  # every 4th pixel in each direction is counted


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width from `low` to `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass
class PixelSample:
    """Pixels of the slices of one source, of which histograms are made; small whatever the source's size."""

    before: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    after: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def add(self, split: str, raw: NDArray[Any], image: NDArray[Any]) -> None:
        """Count one slice.

        Args:
            split: of the slice.
            raw: (H, W), before, in the source's unit.
            image: (H, W), after: uint8, or float in [0, 1]; colours as luminance.
        """
        self.before.setdefault(split, []).append(raw[::STEP, ::STEP].ravel())
        few = image[::STEP, ::STEP]
        levels = few // (256 // BINS) if few.dtype == np.uint8 else np.minimum(few * BINS, BINS - 1).astype(np.uint8)
        counts = np.bincount(levels.ravel(), minlength=BINS)
        self.after[split] = self.after.get(split, 0) + counts

    def histograms(self) -> dict[str, dict[str, list[Any]]]:
        """Split -> "before" and "after" -> [low, high, counts], ready for JSON."""
        found = {}
        for split in sorted(self.before):
            values = np.concatenate(self.before[split]).astype(np.float64)
            low, high = float(values.min()), float(values.max())
            counts = np.histogram(values, BINS, (low, high if high > low else low + 1))[0]
            found[split] = {
                "before": [low, high if high > low else low + 1, counts.tolist()],
                "after": [0.0, 1.0, self.after[split].tolist()],
            }
        return found


def add_up(parts: Iterable[list[Any]]) -> Histogram | None:
    """One histogram over the range of all parts; a part's bin goes to where its centre lies. None for no parts."""
    parts = list(parts)
    if not parts:
        return None
    low, high = min(part[0] for part in parts), max(part[1] for part in parts)
    total = np.zeros(BINS, np.int64)
    for first, last, counts in parts:
        centres = first + (np.arange(BINS) + 0.5) * (last - first) / BINS
        bins = np.minimum((centres - low) / (high - low) * BINS, BINS - 1).astype(int)
        np.add.at(total, bins, counts)
    return Histogram(low, high, tuple(total.tolist()))
