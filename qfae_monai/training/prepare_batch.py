"""Batch preparation for MONAI's engines: the target of a reconstruction is the uncorrupted image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.utils import convert_to_tensor
from torch import Tensor


class ReconstructionPrepareBatch(PrepareBatch):
    """Batch dictionary -> (image, image), plain tensors (B, C, H, W): MetaTensor bookkeeping inside a ViT is slow.

    Args:
        image_key: of the batch.
        transform: applied to the whole batch on the device, such as :class:`qfae_monai.transforms.RandAugmentBatch`.
        corruption: applied behind it to what the network sees, not to the target, such as
            :class:`qfae_monai.transforms.CoarseNoise`.
    """

    def __init__(
        self,
        image_key: str = "image",
        transform: Callable[[Tensor], Tensor] | None = None,
        corruption: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.image_key = image_key
        self.transform = transform
        self.corruption = corruption  # last: `EpochSeed` seeds in this order, and the augmentation's draws stay

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        image = batchdata[self.image_key]
        image = convert_to_tensor(image, track_meta=False).to(device=device, non_blocking=non_blocking, **kwargs)
        if self.transform is not None:
            image = convert_to_tensor(self.transform(image), track_meta=False)
        return image if self.corruption is None else self.corruption(image), image
