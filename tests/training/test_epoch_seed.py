"""An epoch's randomness depends on seed, epoch and rank alone, wherever the random transforms are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, RandGaussianNoise, Resized

from qfae_monai.training import EpochSeed, ReconstructionPrepareBatch

DATA = [{"image": torch.zeros(1, 4, 4)} for _ in range(2)]
RESIZE = Resized("image", (4, 4))


def engine(epoch: int, transform: Any = None, **loader: Any) -> SimpleNamespace:
    """What the handler sees of a trainer whose batches get noise on the device."""
    state = SimpleNamespace(epoch=epoch, dataloader=DataLoader(Dataset(DATA, transform or RESIZE), **loader))
    noise: Any = RandGaussianNoise(prob=1.0)
    prepare_batch = ReconstructionPrepareBatch(transform=noise)
    return SimpleNamespace(state=state, prepare_batch=prepare_batch)


def noise(seed: int, rank: int, epoch: int) -> torch.Tensor:
    trainer = engine(epoch)
    EpochSeed(seed, rank)(trainer)  # type: ignore[arg-type]
    return trainer.prepare_batch({"image": torch.zeros(1, 1, 4, 4)}, device="cpu")[0]


def test_transforms_of_prepare_batch_are_seeded() -> None:
    assert torch.equal(noise(1, 0, 3), noise(1, 0, 3))
    assert len({noise(*numbers).numpy().tobytes() for numbers in ((1, 0, 3), (2, 0, 3), (1, 1, 3), (1, 0, 4))}) == 4


def test_random_transforms_in_lasting_workers_are_refused() -> None:
    for transform in (RandGaussianNoise(), Compose([RESIZE, Compose([RandGaussianNoise()])])):
        with pytest.raises(ValueError, match="persistent_workers False"):
            EpochSeed(1)(engine(1, transform, num_workers=1, persistent_workers=True))  # type: ignore[arg-type]
        EpochSeed(1)(engine(1, transform, num_workers=1))  # type: ignore[arg-type]


def test_lasting_workers_without_random_transforms_are_allowed() -> None:
    for transform in (RESIZE, Compose([Compose([RESIZE])])):
        EpochSeed(1)(engine(1, transform, num_workers=1, persistent_workers=True))  # type: ignore[arg-type]
