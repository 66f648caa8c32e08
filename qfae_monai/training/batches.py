"""Batches of a training step: prepared, in parts, with scaled gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.engines import PrepareBatch, SupervisedTrainer
from monai.utils import convert_to_tensor
from torch import Tensor

from qfae_monai.training.views import is_kept, unpacked

# Gradient accumulation in MONAI's trainer: a batch handed over in parts, one optimiser step for all of them.


def part_size(batch_size: int, accumulation_steps: int) -> int:
    """Images in one of `accumulation_steps` equal parts of a batch: what the loader hands over at a time.

    Raises:
        ValueError: if the batch cannot be cut into so many equal parts.

    >>> part_size(64, accumulation_steps=4)
    16
    """
    if accumulation_steps < 1 or batch_size % accumulation_steps:
        raise ValueError(f"batch_size {batch_size} is not divisible by accumulation_steps {accumulation_steps}")
    return batch_size // accumulation_steps


def whole_batches(images: int, batch_size: int) -> int:
    """Number of images in an epoch of whole batches: the incomplete batch is left out.

    Raises:
        ValueError: if there are not enough images for one batch.

    >>> whole_batches(150, batch_size=64)
    128
    """
    if images < batch_size:
        raise ValueError(
            f"expected at least one batch of {batch_size} images to train on, got {images}: set batch_size lower"
        )
    return images // batch_size * batch_size


def optimizer_steps(parts: int, accumulation_steps: int) -> int:
    """Optimiser steps of an epoch of `parts` parts; MONAI takes a last short step where they do not divide.

    >>> optimizer_steps(9, accumulation_steps=4)
    3
    """
    return -(-parts // accumulation_steps)


# State of float16's gradient scaling, which a resumed run needs as it needs the optimiser's.


def gradient_scaler(trainer: SupervisedTrainer) -> dict[str, torch.amp.GradScaler]:
    """`scaler` -> that of the trainer, to be kept in checkpoints; nothing where gradients are not scaled."""
    return {} if trainer.scaler is None else {"scaler": trainer.scaler}


# Batch preparation for MONAI's engines: the target of a reconstruction is the uncorrupted image.


class ReconstructionPrepareBatch(PrepareBatch):
    """Batch dictionary -> (image, image), plain tensors (B, C, H, W): MetaTensor bookkeeping inside a ViT is slow.

    A batch of `KeptViews` becomes what was made of such images: (states of the encoders, features of the target).

    Args:
        image_key: of the batch.
        transform: applied to the whole batch on the device, such as `qfae_monai.transforms.RandAugmentBatch`.
        corruption: applied behind it to what the network sees, not to the target, such as
            `qfae_monai.transforms.CoarseNoise`.
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
    ) -> tuple[Any, Any]:
        if is_kept(batchdata):
            return unpacked({name: one.to(device, non_blocking=non_blocking) for name, one in batchdata.items()})
        image = batchdata[self.image_key]
        # (B, C, H, W)
        image = convert_to_tensor(image, track_meta=False).to(device=device, non_blocking=non_blocking, **kwargs)
        if self.transform is not None:
            image = convert_to_tensor(self.transform(image), track_meta=False)
        return image if self.corruption is None else self.corruption(image), image
