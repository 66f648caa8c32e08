"""The draws of the paper's augmentation: torchvision's distribution, one draw for all keys, repeatable by seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from torchvision.transforms import RandomResizedCrop

from qfae_monai.transforms import RandBrightnessContrastd, RandResizedCropRotateFlip, RandResizedCropRotateFlipd

BAD_ARGUMENTS = [
    [{"area": (0.0, 1.0)}, "area"],
    [{"area": (0.9, 1.1)}, "area"],
    [{"aspect": (1.2, 0.8)}, "aspect"],
    [{"max_angle": -1.0}, "max_angle"],
    [{"flip_prob": 1.5}, "flip_prob"],
]
# torchvision's fallback for an aspect that a square cannot hold: the largest centred crop, top, left, height, width
FALLBACKS = [[(2.0, 2.0), (16, 0, 32, 64)], [(0.5, 0.5), (0, 16, 64, 32)], [(0.8, 1.2), (0, 0, 64, 64)]]


def draws(count: int) -> list[RandResizedCropRotateFlip]:
    out = []
    for seed in range(count):
        transform = RandResizedCropRotateFlip(64)
        transform.set_random_state(seed)
        transform.randomize()
        out.append(transform)
    return out


def test_draws_are_in_range_and_spread() -> None:
    drawn = draws(400)
    angles = np.array([t.angle for t in drawn])
    assert np.abs(angles).max() <= 10
    assert abs(angles.mean()) < 1  # standard error of the mean of U(-10, 10) over 400: 0.29
    assert angles.std() == pytest.approx(20 / np.sqrt(12), rel=0.1)
    assert np.mean([t.flip for t in drawn]) == pytest.approx(0.5, abs=0.1)
    for top, left, height, width in (t.box for t in drawn):
        assert top >= 0
        assert left >= 0
        assert top + height <= 64
        assert left + width <= 64
        assert 0.88 <= height * width / 64**2 <= 1  # 0.9, and rounding to pixels


def test_crops_are_distributed_like_torchvisions() -> None:
    ours = np.array([t.box for t in draws(1000)])
    image = torch.zeros(1, 64, 64)
    torch.manual_seed(0)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.9, 1.0], [0.8, 1.2]) for _ in range(1000)])
    # means over 1000 draws: their standard error is below 0.06 pixels
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.25)
    np.testing.assert_allclose(ours.std(0), theirs.std(0), atol=0.25)


@pytest.mark.parametrize(("aspect", "expected"), FALLBACKS)
def test_fallback_crop(aspect: tuple[float, float], expected: tuple[int, ...]) -> None:
    transform = RandResizedCropRotateFlip(64, area=(1.0, 1.0), aspect=aspect)
    transform.randomize()
    assert transform.box == expected or aspect == (0.8, 1.2)
    assert transform._fallback_box(64) == expected


def test_no_augmentation_leaves_the_image() -> None:
    image = torch.rand(1, 16, 16)
    still = RandResizedCropRotateFlip(16, area=(1.0, 1.0), aspect=(1.0, 1.0), max_angle=0.0, flip_prob=0.0)
    torch.testing.assert_close(still(image), image, atol=1e-5, rtol=0)


def test_last_draw_can_be_repeated() -> None:
    transform, image = RandResizedCropRotateFlip(16), torch.rand(1, 20, 20)
    out = transform(image)
    assert torch.equal(transform(image, randomize=False), out)


def test_keys_share_a_draw_with_their_own_mode() -> None:
    label = torch.zeros(1, 32, 32)
    label[:, 8:20, 10:16] = 1
    transform = RandResizedCropRotateFlipd(("image", "label", "smooth"), 32, mode=("bilinear", "nearest", "bilinear"))
    out = transform.set_random_state(3)({"image": label, "label": label, "smooth": label, "case": "a"})
    assert torch.equal(out["image"], out["smooth"])
    assert set(out["label"].unique().tolist()) == {0.0, 1.0}
    assert (out["image"] - out["label"]).abs().mean() < 0.05
    assert out["case"] == "a"


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandResizedCropRotateFlip(8, **arguments)


def loaded(num_workers: int, seed: int) -> torch.Tensor:
    """Eight times the same image through both augmentations, (8, 1, 16, 16)."""
    image = torch.linspace(0, 1, 256).reshape(1, 16, 16)
    dataset = Dataset(
        [{"image": image} for _ in range(8)],
        [RandResizedCropRotateFlipd("image", 16), RandBrightnessContrastd("image")],
    )
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(dataset, batch_size=2, num_workers=num_workers, generator=generator)
    return torch.cat([batch["image"] for batch in loader])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_draw_differently_and_a_seed_repeats_them(num_workers: int) -> None:
    first = loaded(num_workers, seed=5)
    assert len({image.numpy().tobytes() for image in first}) == 8
    assert torch.equal(first, loaded(num_workers, seed=5))
    assert not torch.equal(first, loaded(num_workers, seed=6))
