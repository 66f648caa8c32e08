"""One resampling against the chain of steps that it replaces: MONAI's resize, torchvision's crop and rotation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Resize
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from qfae_monai.transforms import ResizedCropRotateFlip

SIZE = 64
SIZES = [(64, 64), (50, 64), (40, 90), (150, 129), (1, 7)]
BOXES = [(0, 0, 64, 64), (3, 2, 60, 58), (0, 6, 62, 57)]
ANGLES = [-10.0, 3.0, 10.0, 90.0]
INNER = (slice(None), slice(2, -2), slice(2, -2))  # at its edge, torchvision's crop does not see its neighbours
BILINEAR = InterpolationMode.BILINEAR


def smooth_image() -> torch.Tensor:
    """A slow wave of no symmetry, (1, 64, 64) in [0, 1]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, SIZE), torch.linspace(0, 1, SIZE), indexing="ij")
    return (0.5 + 0.25 * torch.sin(4 * x + y) + 0.25 * torch.cos(5 * y - 2 * x * y))[None]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("anti_aliasing", [True, False])
def test_identity_is_monais_resize(shape: tuple[int, int], anti_aliasing: bool) -> None:
    image = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    expected = torch.Tensor(Resize((SIZE, SIZE), mode="bilinear", anti_aliasing=anti_aliasing)(image))
    torch.testing.assert_close(
        ResizedCropRotateFlip(SIZE, anti_aliasing=anti_aliasing)(image), expected, atol=2e-5, rtol=0
    )


@pytest.mark.parametrize("box", BOXES)
def test_crop_is_torchvisions(box: tuple[int, int, int, int]) -> None:
    out = ResizedCropRotateFlip(SIZE)(smooth_image(), box=box)
    expected = tv.resized_crop(smooth_image(), *box, size=[SIZE, SIZE], interpolation=BILINEAR, antialias=True)
    torch.testing.assert_close(out[INNER], expected[INNER], atol=1e-5, rtol=0)


@pytest.mark.parametrize("angle", ANGLES)
def test_rotation_is_torchvisions(angle: float) -> None:
    out = ResizedCropRotateFlip(SIZE)(smooth_image(), angle=angle)
    expected = tv.rotate(smooth_image(), angle, interpolation=BILINEAR, fill=[0.0])
    both = (out > 0) & (expected > 0.2)  # along the rim of the turned image torchvision blends with its fill
    assert both.float().mean() > 0.8
    difference = (out - expected).abs()[both]
    assert difference.quantile(0.95) < 1e-4


@pytest.mark.parametrize("box", BOXES)
def test_all_steps_come_in_torchvisions_order(box: tuple[int, int, int, int]) -> None:
    out = ResizedCropRotateFlip(SIZE)(smooth_image(), box=box, angle=8.0, flip=True)
    step = tv.resized_crop(smooth_image(), *box, size=[SIZE, SIZE], interpolation=BILINEAR, antialias=True)
    expected = tv.vertical_flip(tv.rotate(step, 8.0, interpolation=InterpolationMode.NEAREST, fill=[0.0]))
    assert torch.equal(out == 0, expected == 0)  # the same corners are filled with 0
    assert (out - expected).abs().max() < 0.05  # half a pixel of this wave: the reference takes the nearest


def test_flip_turns_the_first_axis_around() -> None:
    image = smooth_image()
    torch.testing.assert_close(ResizedCropRotateFlip(SIZE)(image, flip=True), image.flip(1), atol=1e-5, rtol=0)


def test_mask_follows_its_image_and_stays_binary() -> None:
    y, x = torch.meshgrid(torch.arange(100.0), torch.arange(80.0), indexing="ij")
    image = torch.exp(-((x - 55) ** 2 + (y - 30) ** 2) / 30)[None]
    parameters: dict[str, Any] = {"box": (2, 4, 58, 60), "angle": 9.0, "flip": True}
    out = ResizedCropRotateFlip(SIZE)(image, **parameters)
    mask = ResizedCropRotateFlip(SIZE, mode="nearest")((image > 0.5).float(), **parameters)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    grid = torch.stack(torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij"))
    centres = [(grid * weight).sum((1, 2)) / weight.sum() for weight in (out, mask)]
    assert math.dist(*(centre.tolist() for centre in centres)) < 0.7  # pixels


def test_output_is_a_plain_tensor() -> None:
    out = ResizedCropRotateFlip(8)(MetaTensor(torch.ones(1, 8, 8, dtype=torch.uint8)))
    assert not isinstance(out, MetaTensor)
    assert out.dtype == torch.float32


def test_refusals_say_what_came() -> None:
    with pytest.raises(ValueError, match="got 0"):
        ResizedCropRotateFlip(0)
    with pytest.raises(ValueError, match="got 'cubic'"):
        ResizedCropRotateFlip(8, mode="cubic")
    with pytest.raises(ValueError, match=r"got shape \(8, 8\)"):
        ResizedCropRotateFlip(8)(torch.zeros(8, 8))
