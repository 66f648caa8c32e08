"""Gradient accumulation in MONAI's trainer: a batch handed over in parts, one optimiser step for all of them."""

from __future__ import annotations


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
        raise ValueError(f"expected at least one batch of {batch_size} images to train on, got {images}: "
                         "set batch_size lower")  # fmt: skip
    return images // batch_size * batch_size


def optimizer_steps(parts: int, accumulation_steps: int) -> int:
    """Optimiser steps of an epoch of `parts` parts; MONAI takes a last short step where they do not divide.

    >>> optimizer_steps(9, accumulation_steps=4)
    3
    """
    return -(-parts // accumulation_steps)
