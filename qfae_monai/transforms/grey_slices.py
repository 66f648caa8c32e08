"""Slices of a volume that stays as it came: a slice gets its grey values when it is cut, and only then.

A volume of whole numbers has few of them. What a configuration makes of each, percentiles of the foreground included,
follows from how often each occurs, so it is a table: one pass counts, and nothing is sorted or copied whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Identityd, NormalizeIntensityd, Orientationd, ScaleIntensityRanged
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor

from qfae_monai.reading import LoadSeriesd
from qfae_monai.reading.background import Background, background_of, in_memory_order
from qfae_monai.transforms.foreground import ScaleIntensityForegroundPercentilesd
from qfae_monai.transforms.volume_check import CheckVolumed

__all__ = ["GreySlices", "SlicedVolume"]

MOST_LEVELS = 1 << 17  # of a table: any 16 bits, and what a rescaling makes of them
EXACT = 1 << 24  # whole numbers up to here are their own float32
BLOCK = 1 << 20  # voxels counted at a time
PART = 16  # slices looked at together, so that a volume's memory is read in whole lines
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32)
OF_ANY_TYPE = (Identityd, LoadSeriesd, CheckVolumed, Orientationd)  # transforms that take whole numbers as they are


@dataclass(frozen=True)
class GreyTable:
    """Grey value of each whole number from the lowest of a volume to its highest.

    Attributes:
        lowest: of the volume.
        grey: (levels,) float32; of a number that does not occur it means nothing.
        counts: (levels,), how many voxels have each.
    """

    lowest: int
    grey: Tensor
    counts: NDArray[np.int64]

    def __call__(self, stored: Tensor) -> Tensor:
        """Whole numbers of the volume, of any shape -> float32 of the same shape."""
        numbers = stored.numpy()
        # modulo 2^bits, so that a place in the table takes no more memory than the number
        places = numbers.view(f"u{numbers.itemsize}") - np.array(self.lowest, numbers.dtype).view(
            f"u{numbers.itemsize}"
        )
        return torch.from_numpy(self.grey.numpy()[places])

    @property
    def occurring(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Grey values of the numbers that occur, and how often they do."""
        return self.grey.numpy()[self.counts > 0], self.counts[self.counts > 0]


class GreySlices:
    """Slices of a volume along an axis.

    Args:
        volume: (1, X, Y, Z), grey values; or whole numbers beside their table.
        axis: spatial axis that is cut across.
        table: of whole numbers.

    Example:
        >>> volume = torch.arange(24, dtype=torch.int16).reshape(1, 2, 3, 4)
        >>> slices = GreySlices(volume, 2, GreyTable(0, torch.linspace(0, 2.3, 24), np.ones(24, np.int64)))
        >>> slices[torch.tensor([3])].shape, round(float(slices[torch.tensor([3])].max()), 4)
        (torch.Size([1, 2, 3]), 2.3)
    """

    def __init__(self, volume: Tensor, axis: int, table: GreyTable | None = None) -> None:
        self.volume, self.axis, self.table = volume, axis, table
        plain = volume.as_tensor() if isinstance(volume, MetaTensor) else volume
        self.stored = plain[0].movedim(axis, 0)  # (slices, h, w), a view

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, numbers: Tensor | slice) -> Tensor:
        """Grey values (n, h, w) of n slices."""
        stored = self.stored[numbers]
        return stored if self.table is None else self.table(stored)

    @property
    def background(self) -> Background:
        """The background of all grey values."""
        return background_of(self.volume) if self.table is None else background_of(*self.table.occurring)

    @property
    def extremes(self) -> tuple[float, float]:
        """Least and greatest grey value."""
        grey = in_memory_order(self.volume) if self.table is None else self.table.occurring[0]
        return float(grey.min()), float(grey.max())

    @cached_property
    def foreground(self) -> tuple[Tensor, Tensor]:
        """(slices,) pixels that are foreground; and (slices,) boolean, whether a slice has more than one value."""
        background = self.background
        pixels: list[Tensor] = []
        varies: list[Tensor] = []
        for start in range(0, len(self), PART):
            grey = self[start : start + PART]  # (n, h, w)
            pixels += [background.foreground(one).count_nonzero() for one in grey]
            varies.append(grey.amax((1, 2)) > grey.amin((1, 2)))
        return torch.stack(pixels), torch.cat(varies)


class SlicedVolume:
    """The transforms of a configuration, run on a volume as far as they must, and on its whole numbers from there on.

    The last transforms of a chain that look at nothing but a voxel's own value (scaling by percentiles or a window,
    normalisation) are left to a table, if those in front of them take whole numbers as they are. Any other chain, and
    a volume of other numbers, is transformed whole; grey values are the same to the last bit.

    Args:
        chain: gives `image` (1, X, Y, Z).
        axis: spatial axis that the volume is cut across.
    """

    def __init__(self, chain: Callable[[dict[Any, Any]], Any], axis: int) -> None:
        steps = list(chain.flatten().transforms) if isinstance(chain, Compose) else [chain]
        count = next((place for place, step in enumerate(reversed(steps)) if not _of_values(step)), len(steps))
        self.chain, self.axis = chain, axis
        self.grid, self.grey = steps[: len(steps) - count], steps[len(steps) - count :]
        self.splits = bool(self.grey) and all(isinstance(step, OF_ANY_TYPE) for step in self.grid)

    def __call__(self, data: Mapping[Any, Any]) -> tuple[dict[Any, Any], GreySlices]:
        """The dictionary as the chain leaves it, but for `image`, which may hold numbers as stored; and its slices."""
        found = self._as_stored(data) if self.splits else self.chain(_in_float32(data))
        if self.splits and not found["image"].is_floating_point():
            return found, GreySlices(found["image"], self.axis, self._table(found["image"]))
        for step in self.grey if self.splits else ():
            found = step(found)
        found["image"] = convert_to_tensor(found["image"], dtype=torch.float32, track_meta=True)
        return found, GreySlices(found["image"], self.axis)

    def _as_stored(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """What does not look at grey values, with whole numbers left as they are."""
        found = _narrowed(data)
        for step in self.grid:
            found = _narrowed((step.as_stored() if isinstance(step, LoadSeriesd) else step)(found))
        return found

    def _table(self, image: MetaTensor) -> GreyTable:
        flat = in_memory_order(image)  # (voxels,)
        lowest, counts = int(flat.min()), _count(flat)
        levels = torch.arange(lowest, lowest + len(counts)).float()[counts > 0]
        named = MetaTensor(levels[None, :, None, None], meta=image.meta)  # (1, levels, 1, 1), by its file in messages
        data: dict[Any, Any] = {"image": named}
        for step in self.grey:
            if isinstance(step, ScaleIntensityForegroundPercentilesd):
                data["image"] = step.scaler(data["image"], counts=counts[counts > 0])
            else:
                data = step(data)
        grey = torch.zeros(len(counts))
        grey[counts > 0] = data["image"].as_tensor().flatten()
        return GreyTable(lowest, grey, counts)


def _of_values(step: Any) -> bool:
    """Whether a transform looks at nothing but each voxel's own value, or at how often values occur."""
    if tuple(getattr(step, "keys", ())) != ("image",):
        return False
    if isinstance(step, NormalizeIntensityd):
        normal = step.normalizer
        given = [isinstance(number, int | float) for number in (normal.subtrahend, normal.divisor)]
        return all(given) and not normal.nonzero and not normal.channel_wise
    if isinstance(step, ScaleIntensityForegroundPercentilesd):
        return step.mask_key is None
    return isinstance(step, ScaleIntensityRanged)


def _narrowed(data: Mapping[Any, Any]) -> dict[Any, Any]:
    """The same where `image` is a file's name, or whole numbers that a table has room for; else it in float32."""
    image = data["image"]
    if isinstance(image, Tensor) and image.dtype in INTEGERS and image.numel():
        flat = in_memory_order(image)
        low, high = int(flat.min()), int(flat.max())
        if high - low < MOST_LEVELS and max(-low, high) <= EXACT:
            return dict(data)
    return _in_float32(data)


def _in_float32(data: Mapping[Any, Any]) -> dict[Any, Any]:
    image = data["image"]
    return {**data, "image": image.float() if isinstance(image, Tensor) else image}


def _count(flat: NDArray[Any]) -> NDArray[np.int64]:
    """(levels,) voxels of each whole number from the lowest to the highest."""
    lowest, highest = int(flat.min()), int(flat.max())
    counts = np.zeros(highest - lowest + 1, np.int64)
    for start in range(0, len(flat), BLOCK):
        counts += np.bincount(flat[start : start + BLOCK].astype(np.int64) - lowest, minlength=len(counts))
    return counts
