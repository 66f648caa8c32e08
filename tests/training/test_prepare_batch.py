"""What trainer and evaluator are told of a batch."""

from __future__ import annotations

import torch
from monai.data import MetaTensor

from qfae_monai.training import ReconstructionPrepareBatch


def test_the_image_is_its_own_target_and_plain() -> None:
    image, target = ReconstructionPrepareBatch()({"image": MetaTensor(torch.ones(2, 1, 4, 4))}, device="cpu")
    assert target is image
    assert type(image) is torch.Tensor


def test_a_transform_changes_image_and_target_alike() -> None:
    prepare = ReconstructionPrepareBatch(transform=lambda images: images * 2)
    image, target = prepare({"image": torch.ones(2, 1, 4, 4)}, device="cpu")
    assert target is image
    assert torch.equal(image, torch.full((2, 1, 4, 4), 2.0))


def test_a_corruption_changes_the_image_alone() -> None:
    prepare = ReconstructionPrepareBatch(transform=lambda images: images * 2, corruption=lambda images: images + 1)
    image, target = prepare({"image": torch.ones(2, 1, 4, 4)}, device="cpu")
    assert torch.equal(target, torch.full((2, 1, 4, 4), 2.0))
    assert torch.equal(image, torch.full((2, 1, 4, 4), 3.0))
