"""Mask of an anomaly map above a calibrated threshold."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

__all__ = ["ThresholdMap", "ThresholdMapd"]


class ThresholdMap(Transform):
    """Anomaly map to mask: 1 is above the threshold, 0 is not.

    Args:
        threshold: map value, in the map's own unit.

    Raises:
        TypeError: when the threshold is no number: without a calibration there is none.

    Example:
        >>> ThresholdMap(0.5)(torch.tensor([0.4, 0.5, 0.6])).tolist()
        [0, 0, 1]
    """

    def __init__(self, threshold: float) -> None:
        if not isinstance(threshold, float | int):
            raise TypeError(f"expected a threshold of the anomaly map, got {threshold!r}; `calibrating` gives one")
        self.threshold = float(threshold)

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: anomaly map of any shape.

        Returns:
            uint8 of the same shape, on the same grid.
        """
        return (img > self.threshold).to(torch.uint8)


class ThresholdMapd(MapTransform):
    """Dictionary twin of :class:`ThresholdMap`, for a map that stays beside its mask.

    Args:
        keys: key of the map.
        threshold: as in :class:`ThresholdMap`; None makes no mask.
        mask_key: where the mask goes.
    """

    def __init__(self, keys: KeysCollection = "pred", threshold: float | None = None, mask_key: str = "mask") -> None:
        super().__init__(keys)
        self.mask_key = mask_key
        self.mask = None if threshold is None else ThresholdMap(threshold)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            if self.mask is not None:
                d[self.mask_key] = self.mask(d[key])
        return d
