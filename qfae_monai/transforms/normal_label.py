"""The mask that a normal image has without anyone drawing it: 0 everywhere."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform

__all__ = ["NormalLabeld"]


class NormalLabeld(MapTransform):
    """Give a sample that is marked normal (``image_label`` 0) and has no mask one of zeros, so that cohorts batch.

    A sample with a mask, an abnormal one and one of unknown label are passed on as they are.

    Args:
        keys: key of the mask.
        image_key: key of the loaded image, whose shape and affine the mask takes.
        image_label_key: key of the sample's label: 1 abnormal, 0 normal.

    Example:
        >>> NormalLabeld()({"image": torch.ones(1, 2, 2), "image_label": 0})["label"].sum()
        tensor(0.)
    """

    def __init__(self, keys: str = "label", image_key: str = "image", image_label_key: str = "image_label") -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.image_label_key = image_label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        if d.get(self.image_label_key) == 0:
            for key in self.keys:
                if key not in d:
                    d[key] = torch.zeros_like(d[self.image_key], dtype=torch.float32)
        return d
