"""Choice of a volume's slices: the one rule of training, calibration, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

import torch
from torch import Tensor

from qfae_monai.transforms.foreground import foreground_mask

__all__ = ["SliceChoice"]

ROUNDING = 1e-9  # of a share times a number of slices


class SliceChoice:
    """Tell the slices with foreground, and those of them that are wanted.

    A share means the same place of the body in any scan; an index does only where all scans lie on one grid.

    Args:
        axis: spatial axis (0, 1 or 2) that is cut across.
        index_range: first and last slice that are wanted, both included; None for all.
        share: where the wanted slices begin and end, in shares of the foreground's extent along the axis: 0 is its
            first slice's outer face, 1 its last one's; a slice lies where its middle is. None for all.
        min_foreground: share of a slice's pixels, in [0, 1], below which it is empty. Constant slices are empty, too.

    Raises:
        ValueError: when an argument is out of its range, or both `index_range` and `share` are given.

    Example:
        >>> volume = torch.zeros(1, 4, 4, 10)
        >>> volume[..., 1:3, 2:] = torch.arange(1.0, 9.0)  # 8 slices with foreground
        >>> visible, inside = SliceChoice(share=(0.25, 0.75))(volume)
        >>> (visible & inside).nonzero()[:, 0].tolist(), int((~inside).sum())
        ([4, 5, 6, 7], 4)
    """

    def __init__(
        self,
        *,
        axis: int = 2,
        index_range: Sequence[int] | None = None,
        share: Sequence[float] | None = None,
        min_foreground: float = 0.01,
    ) -> None:
        if axis not in (0, 1, 2):
            raise ValueError(f"expected a spatial axis 0, 1 or 2, got {axis}.")
        if index_range is not None and not (len(index_range) == 2 and 0 <= index_range[0] <= index_range[1]):
            raise ValueError(f"expected an index_range 0 <= first <= last, got {tuple(index_range)}.")
        if share is not None and not (len(share) == 2 and 0 <= share[0] < share[1] <= 1):
            raise ValueError(f"expected a slice_share 0 <= low < high <= 1, got {tuple(share)}.")
        if index_range is not None and share is not None:
            raise ValueError(
                f"expected slices by index or by share, got slice_range {list(index_range)} and slice_share "
                f"{list(share)}."
            )
        if not 0 <= min_foreground <= 1:
            raise ValueError(f"expected min_foreground in [0, 1], got {min_foreground}.")
        self.axis, self.min_foreground = axis, min_foreground
        self.index_range = None if index_range is None else tuple(index_range)
        self.share = None if share is None else tuple(share)

    def __call__(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            volume: (1, X, Y, Z), any intensity unit.

        Returns:
            (slices,) boolean, which have foreground; and (slices,) boolean, which are not left out by range or share.
            A share leaves out no slice beyond the foreground: such are empty.
        """
        image = volume[0]
        within = [place for place in range(3) if place != self.axis]
        tissue = foreground_mask(image).sum(dim=within)  # pixels of each slice
        enough = tissue >= self.min_foreground * (image.numel() // image.shape[self.axis])
        visible = enough & (image.amax(dim=within) > image.amin(dim=within))
        return visible, self._inside(visible)

    def _inside(self, visible: Tensor) -> Tensor:
        inside = torch.ones_like(visible)
        if self.index_range is not None:
            first, last = self.index_range
            inside[:first] = False
            inside[last + 1 :] = False
        elif self.share is not None and visible.any():
            places = visible.nonzero()[:, 0]
            begin, end = int(places[0]), int(places[-1]) + 1
            first, last = _of_extent(end - begin, *self.share)
            inside[begin : begin + first] = False
            inside[begin + last + 1 : end] = False
        return inside


def _of_extent(count: int, low: float, high: float) -> tuple[int, int]:
    """First and last of `count` slices whose middle lies in a share of them; the nearest where none does.

    >>> _of_extent(10, 0.25, 0.75), _of_extent(20, 0.25, 0.75), _of_extent(3, 0.4, 0.45)
    ((2, 7), (5, 14), (1, 1))
    """
    first, last = ceil(low * count - 0.5 - ROUNDING), floor(high * count - 0.5 + ROUNDING)
    if first > last:
        first = last = min(count - 1, floor((low + high) / 2 * count))
    return first, last
