"""Summary of each slice of an image or volume besides its score: its label, and features too simple to trust."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform
from torch import Tensor

from qfae_monai.transforms.foreground import foreground_mask

__all__ = ["TRIVIAL_FEATURES", "SliceSummaryd"]

TRIVIAL_FEATURES = ("mean", "std", "max", "p99", "foreground_area")
"""A detector that does not beat each of these has learned little: 99th percentile, share of foreground pixels."""


class SliceSummaryd(MapTransform):
    """Add `slice_labels` and `trivial_<feature>`, one number per slice, and `volume_label`.

    Labels: 1 abnormal, 0 normal, NaN unknown. A mask says it of each slice. Without one, `image_label` says it of the
    whole: all slices of a normal volume are normal, which slices of an abnormal one are abnormal is unknown. With
    neither, nothing is known; nothing is taken for normal.

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
            pixels = self._slices(d[key])
            d["trivial_mean"] = pixels.mean(1)
            d["trivial_std"] = pixels.std(1)
            d["trivial_max"] = pixels.amax(1)
            d["trivial_p99"] = torch.quantile(pixels, 0.99, dim=1)
            d["trivial_foreground_area"] = self._slices(foreground_mask(d[key])).mean(1)
            d["slice_labels"], d["volume_label"] = self._labels(d, len(pixels))
        return d

    def _labels(self, data: Mapping[Hashable, Any], slices: int) -> tuple[Tensor, Tensor]:
        """(slices,) and a scalar."""
        if data.get(self.label_key) is not None:
            labels = (self._slices(data[self.label_key]) > 0).any(dim=1).float()
            return labels, labels.amax()
        whole = torch.tensor(float(data.get("image_label", torch.nan)))
        known = slices == 1 or bool(whole == 0)
        return torch.full((slices,), float(whole) if known else torch.nan), whole

    def _slices(self, image: Tensor) -> Tensor:
        """(1, X, Y, Z) or (1, H, W) -> (slices, pixels)."""
        plain = torch.as_tensor(image)[0].float()
        return (plain.movedim(self.axis, 0) if plain.dim() == 3 else plain[None]).flatten(1)
