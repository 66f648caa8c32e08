"""Choice of a volume's slices, one rule from training to prediction, and a summary of each slice besides its score."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import ceil, floor
from typing import Any

import torch
from monai.transforms import MapTransform
from torch import Tensor

from qfae_monai.transforms.foreground import foreground_mask
from qfae_monai.transforms.grey_slices import GreySlices

__all__ = ["TRIVIAL_FEATURES", "SliceChoice", "SliceSummaryd", "places_along"]

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
            raise ValueError(f"expected a spatial axis 0, 1 or 2, got {axis}")
        if index_range is not None and not (len(index_range) == 2 and 0 <= index_range[0] <= index_range[1]):
            raise ValueError(f"expected an index_range 0 <= first <= last, got {tuple(index_range)}")
        if share is not None and not (len(share) == 2 and 0 <= share[0] < share[1] <= 1):
            raise ValueError(f"expected a slice_share 0 <= low < high <= 1, got {tuple(share)}")
        if index_range is not None and share is not None:
            raise ValueError(
                f"expected slices by index or by share, got slice_range {list(index_range)} and slice_share "
                f"{list(share)}"
            )
        if not 0 <= min_foreground <= 1:
            raise ValueError(f"expected min_foreground in [0, 1], got {min_foreground}")
        self.axis, self.min_foreground = axis, min_foreground
        self.index_range = None if index_range is None else tuple(index_range)
        self.share = None if share is None else tuple(share)

    def __call__(self, volume: Tensor | GreySlices) -> tuple[Tensor, Tensor]:
        """
        Args:
            volume: (1, X, Y, Z), any intensity unit; or its slices along the axis.

        Returns:
            (slices,) boolean, which have foreground; and (slices,) boolean, which are not left out by range or share.
            A share leaves out no slice beyond the foreground: such are empty.
        """
        slices = volume if isinstance(volume, GreySlices) else GreySlices(volume, self.axis)
        tissue, varies = slices.foreground  # pixels of each slice, and whether they differ
        enough = tissue >= self.min_foreground * slices.stored[0].numel()  # (slices,)
        visible = enough & varies
        return visible, self._inside(visible)

    def _inside(self, visible: Tensor) -> Tensor:
        inside = torch.ones_like(visible)
        if self.index_range is not None:
            first, last = self.index_range
            inside[:first] = False
            inside[last + 1 :] = False
        elif self.share is not None and visible.any():
            places = visible.nonzero()[:, 0]  # (n,) slice numbers
            begin, end = int(places[0]), int(places[-1]) + 1  # first slice with foreground, and the one behind the last
            first, last = _of_extent(end - begin, *self.share)  # counted from the first slice with foreground
            inside[begin : begin + first] = False
            inside[begin + last + 1 : end] = False
        return inside


def _of_extent(count: int, low: float, high: float) -> tuple[int, int]:
    """First and last of `count` slices whose middle lies in a share of them; the nearest where none does.

    >>> _of_extent(10, 0.25, 0.75), _of_extent(20, 0.25, 0.75), _of_extent(3, 0.4, 0.45)
    ((2, 7), (5, 14), (1, 1))
    """
    # the middle of slice i lies at (i + 0.5) / count
    first, last = ceil(low * count - 0.5 - ROUNDING), floor(high * count - 0.5 + ROUNDING)
    if first > last:
        first = last = min(count - 1, floor((low + high) / 2 * count))
    return first, last


def places_along(visible: Tensor) -> Tensor:
    """Place of each slice along the stack: 0 is the first one with foreground, 1 the last; 0.5 of a single one.

    >>> places_along(torch.tensor([False, True, True, True])).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    slices = visible.nonzero()[:, 0]  # (n,) slice numbers
    if len(slices) < 2:
        return torch.full((len(visible),), 0.5)
    first, last = slices[0], slices[-1]
    return ((torch.arange(len(visible), device=visible.device) - first) / (last - first)).clamp(0, 1)


# Summary of each slice of an image or volume besides its score: its label, and features too simple to trust.

TRIVIAL_FEATURES = ("mean", "std", "max", "p99", "foreground_area")
"""A detector that does not beat each of these has learned little: 99th percentile, share of foreground pixels."""

SHARE = float(torch.tensor(0.99, dtype=torch.float32))  # of pixels below the percentile, as `torch.quantile` rounds it


LESION_OF_NORMAL = "normal by its label, with a lesion in its mask"
EMPTY_OF_ABNORMAL = "abnormal by its label, with an empty mask"


class SliceSummaryd(MapTransform):
    """Add `slice_labels` and `trivial_<feature>`, one number per slice, `volume_label` and `contradiction`.

    Labels: 1 abnormal, 0 normal, NaN unknown. A mask says it of each slice. Without one, `image_label` says it of the
    whole: all slices of a normal volume are normal, which slices of an abnormal one are abnormal is unknown. With
    neither, nothing is known; nothing is taken for normal.

    Where both speak and contradict each other, `contradiction` says how, and what says abnormal counts: a lesion that
    was drawn makes a case abnormal, and an empty mask of an abnormal case counts as missing (None), not as healthy.

    Args:
        keys: the image, (1, X, Y, Z) or (1, H, W).
        label_key: mask of the same shape, more than 0 is lesion.
        axis: spatial axis along which a volume is sliced.
    """

    def __init__(self, keys: str = "image", label_key: str = "label", axis: int = 2) -> None:
        super().__init__(keys)
        self.label_key = label_key
        self.axis = axis

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            pixels = self._slices(d[key]).float()  # (slices, pixels)
            d["trivial_mean"] = pixels.mean(1)  # (slices,), as all that follow
            d["trivial_std"] = pixels.std(1)
            d["trivial_max"] = pixels.amax(1)
            d["trivial_p99"] = _percentile_99(pixels)
            d["trivial_foreground_area"] = self._slices(foreground_mask(d[key])).float().mean(1)
            d |= self._truth(d, len(pixels))
        return d

    def _truth(self, data: Mapping[Hashable, Any], slices: int) -> dict[Hashable, Any]:
        """`slice_labels` (slices,), `volume_label`, a scalar, `contradiction` ("" for none); the mask if it changed."""
        listed = data.get("image_label")
        whole = torch.tensor(torch.nan if listed is None else float(listed))
        if data.get(self.label_key) is not None:
            labels = self._slices(data[self.label_key] > 0).any(dim=1).float()  # (slices,)
            drawn = labels.amax()
            if drawn or whole != 1:
                return _labels(labels, drawn, LESION_OF_NORMAL if drawn and whole == 0 else "")
        known = slices == 1 or bool(whole == 0)
        labels = torch.full((slices,), float(whole) if known else torch.nan)
        if data.get(self.label_key) is None:
            return _labels(labels, whole, "")
        return {**_labels(labels, whole, EMPTY_OF_ABNORMAL), self.label_key: None}

    def _slices(self, image: Tensor) -> Tensor:
        """(1, X, Y, Z) or (1, H, W) -> (slices, pixels)."""
        plain = torch.as_tensor(image)[0]
        return (plain.movedim(self.axis, 0) if plain.dim() == 3 else plain[None]).flatten(1)


def _labels(slices: Tensor, whole: Tensor, contradiction: str) -> dict[Hashable, Any]:
    return {"slice_labels": slices, "volume_label": whole, "contradiction": contradiction}


def _percentile_99(pixels: Tensor) -> Tensor:
    """As `torch.quantile(pixels, 0.99, dim=1)`, to the last bit and without sorting: (slices, pixels) -> (slices,)."""
    last = pixels.shape[1] - 1
    rank = SHARE * last  # between two places of the sorted pixels
    top = torch.topk(pixels, last - floor(rank) + 1, dim=1).values  # descending: the last one is the rank's lower place
    return torch.lerp(top[:, -1], top[:, last - ceil(rank)], rank - floor(rank))
