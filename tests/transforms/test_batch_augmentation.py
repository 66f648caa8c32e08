"""Augmentation of a batch against the transforms that work image by image: the same draws, the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms import Resize

from qfae_monai.transforms import (
    BrightnessContrast,
    RandAugmentBatch,
    RandBrightnessContrast,
    RandResizedCropRotateFlip,
    ResizedCropRotateFlip,
)

SIZE = 32
SHAPES = [(32, 32), (40, 48), (24, 30), (96, 70)]


def augment(seed: int = 0) -> RandAugmentBatch:
    return RandAugmentBatch(RandResizedCropRotateFlip(SIZE), RandBrightnessContrast(0.3, 0.4)).set_random_state(seed)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def one_by_one(images: torch.Tensor, batch: RandAugmentBatch) -> torch.Tensor:
    """The last draws of a batch, applied to one image at a time."""
    out = []
    for number, image in enumerate(images):
        sampled = ResizedCropRotateFlip(SIZE)(
            image, box=batch.boxes[number], angle=batch.angles[number], flip=batch.flips[number]
        )
        out.append(
            BrightnessContrast()(
                sampled,
                brightness=float(batch.brightness[number]),
                contrast=float(batch.contrast[number]),
                contrast_first=bool(batch.contrast_first[number]),
            )
        )
    return torch.stack(out)


@pytest.mark.parametrize("shape", SHAPES)
def test_same_parameters_give_the_same_pixels(shape: tuple[int, int]) -> None:
    images, batch = noise(12, 1, *shape), augment()
    found = batch(images)
    assert set(batch.flips) == set(batch.contrast_first.tolist()) == {False, True}  # all branches are met
    torch.testing.assert_close(found, one_by_one(images, batch), atol=1e-6, rtol=0)


def test_draws_are_those_of_the_transforms_for_one_image() -> None:
    batch, geometry, jitter = augment(), RandResizedCropRotateFlip(SIZE), RandBrightnessContrast(0.3, 0.4)
    for single, part in ((geometry, batch.geometry), (jitter, batch.jitter)):
        single.set_random_state(state=np.random.RandomState())
        single.R.set_state(part.R.get_state())
    batch.randomize(torch.empty(50, 1, 1, 1))
    for number in range(50):
        geometry.randomize()
        jitter.randomize()
        assert (geometry.box, geometry.angle, geometry.flip) == (
            batch.boxes[number],
            batch.angles[number],
            batch.flips[number],
        )
        assert jitter.brightness == pytest.approx(float(batch.brightness[number]), rel=1e-6)
        assert jitter.contrast == pytest.approx(float(batch.contrast[number]), rel=1e-6)
        assert jitter.contrast_first == bool(batch.contrast_first[number])


def test_resizing_beforehand_interpolates_once_more() -> None:
    """Smooth images hardly differ; noise, which a second interpolation blurs, does."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 40), indexing="ij")
    smooth = (0.5 + 0.25 * torch.sin(4 * x + y) + 0.25 * torch.cos(5 * y - 2 * x * y)).expand(6, 1, 48, 40)
    for images, expected in ((smooth, (0.0, 0.01)), (noise(6, 1, 48, 40), (0.02, 0.1))):
        batch, resize = augment(), Resize((SIZE, SIZE), mode="bilinear", anti_aliasing=True)
        straight = batch(images)
        resized = batch(torch.stack([torch.Tensor(resize(image)) for image in images]), randomize=False)
        rim = (straight == 0) | (resized == 0)
        assert expected[0] <= float((straight - resized)[~rim].abs().mean()) <= expected[1]


def test_a_seed_repeats_a_batch_and_images_differ() -> None:
    images = noise(1, 1, 40, 40).expand(8, 1, 40, 40)
    first = augment(5)(images)
    assert torch.equal(first, augment(5)(images))
    assert not torch.equal(first, augment(6)(images))
    assert len({image.numpy().tobytes() for image in first}) == 8


def test_last_draw_can_be_repeated() -> None:
    batch, images = augment(), noise(3, 1, 32, 32)
    assert torch.equal(batch(images), batch(images, randomize=False))


def test_parameters_of_another_batch_are_refused() -> None:
    batch = augment()
    batch(noise(3, 1, 32, 32))
    with pytest.raises(ValueError, match="3, 3 and 3"):
        batch(noise(4, 1, 32, 32), randomize=False)
