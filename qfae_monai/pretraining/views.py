"""Several views of each image, large and small, for self-distillation (multi-crop: Caron et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.engines import PrepareBatch
from monai.transforms import Compose, Randomizable
from monai.utils import convert_to_tensor
from torch import Tensor

NUM_GLOBAL = 2


class MultiCrop(Randomizable):
    """Two global views of each image, then some local ones.

    Args:
        global_view: random transform of a batch (B, 1, H, W) into views of the network's own size.
        local_view: the same into smaller views of a smaller part; None for no local views.
        num_local: how many of them.
    """

    def __init__(self, global_view: Compose, local_view: Compose | None = None, num_local: int = 4) -> None:
        self.global_view, self.local_view, self.num_local = global_view, local_view, num_local

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> MultiCrop:
        """Seed both kinds of views, each with a stream of its own."""
        super().set_random_state(seed, state)
        for view in (self.global_view, self.local_view):
            if view is not None:
                view.set_random_state(int(self.R.randint(2**31)))
        return self

    def __call__(self, images: Tensor) -> list[Tensor]:
        """(B, 1, H, W) -> two of (B, 1, S, S), then `num_local` of (B, 1, s, s)."""
        views = list(self.global_view(images.repeat(NUM_GLOBAL, 1, 1, 1)).chunk(NUM_GLOBAL))
        if self.local_view is not None and self.num_local:
            views += self.local_view(images.repeat(self.num_local, 1, 1, 1)).chunk(self.num_local)
        return views


class ViewsPrepareBatch(PrepareBatch):
    """Batch dictionary -> (views, image), plain tensors: what MONAI's engines are told in self-distillation.

    Args:
        views: random transform of a batch into a list of views.
        seed: set before each batch, so that held-out images are always seen in the same views; None draws on.
        image_key: of the batch.
    """

    def __init__(self, views: MultiCrop | Compose, *, seed: int | None = None, image_key: str = "image") -> None:
        self.views = views
        self.seed, self.image_key = seed, image_key

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[list[Tensor], Tensor]:
        image = batchdata[self.image_key]
        image = convert_to_tensor(image, track_meta=False).to(device=device, non_blocking=non_blocking, **kwargs)
        if self.seed is not None:
            self.views.set_random_state(self.seed)
        return [convert_to_tensor(view, track_meta=False) for view in self.views(image)], image
