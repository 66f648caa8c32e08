"""Two large views and some small ones of each image, in the order of the images, drawn anew or always the same."""

from __future__ import annotations

import torch
from monai.transforms import Compose, RandGaussianNoise
from torch import Tensor

from qfae_monai.pretraining import MultiCrop, ViewsPrepareBatch
from qfae_monai.transforms import RandAugmentBatch, RandBrightnessContrast, RandResizedCropRotateFlip


def view(size: int) -> Compose:
    geometry = RandResizedCropRotateFlip(size, area=(0.3, 0.9), flip_prob=0.5)
    return Compose([RandAugmentBatch(geometry, RandBrightnessContrast(0.0, 0.0))], map_items=False)


def test_views_have_their_sizes_and_their_image() -> None:
    images = torch.linspace(0.1, 0.9, 3)[:, None, None, None].expand(-1, 1, 32, 32)
    views = MultiCrop(view(32), view(16), num_local=3)(images)
    assert [tuple(one.shape) for one in views] == [(3, 1, 32, 32)] * 2 + [(3, 1, 16, 16)] * 3
    for one in views:
        torch.testing.assert_close(one[:, 0, 8, 8], images[:, 0, 0, 0])


def test_the_two_global_views_differ_and_a_seed_repeats_all(images: Tensor) -> None:
    crop = MultiCrop(view(32), view(16))
    first, again = (crop.set_random_state(seed)(images) for seed in (5, 5))
    assert not torch.equal(first[0], first[1])
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_held_out_images_are_always_seen_alike(images: Tensor) -> None:
    noise = Compose([RandGaussianNoise(prob=1.0)], map_items=False)
    free, fixed = ViewsPrepareBatch(MultiCrop(noise)), ViewsPrepareBatch(MultiCrop(noise), seed=3)
    batch = {"image": images}
    assert not torch.equal(free(batch)[0][0], free(batch)[0][0])
    assert torch.equal(fixed(batch)[0][0], fixed(batch)[0][0])
    assert torch.equal(fixed(batch)[1], images)
