"""Resizing with a filter at the rows that are read alone: MONAI's pixels, metadata and inverse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import GaussianSmooth, Invertd, Resize, Resized
from torch.nn.functional import interpolate

from qfae_monai.transforms import QuickResize, QuickResized, ResizedCropRotateFlip
from qfae_monai.transforms.antialias import rows_read, smoothed

SMOOTH: dict[str, Any] = {"mode": "bilinear", "anti_aliasing": True}
CASES = [
    ((1, 1200, 1000), (64, 64)),  # one row in ten
    ((1, 1201, 803), (33, 65)),
    ((1, 1089, 700), (33, 20)),  # every output pixel in the middle of a pixel
    ((1, 4000, 70), (64, 300)),  # down and up
    ((1, 70, 4000), (300, 64)),
    ((3, 640, 480), (64, 64)),
    ((16, 300, 200), (64, 64)),
    ((1, 900, 800), (600, 64)),  # more rows than are worth it
    ((1, 700, 600), (7, 600)),
    ((1, 50, 40), (16, 16)),  # small
    ((1, 40, 50), (64, 64)),
    ((1, 64, 64), (64, 64)),
]


def image(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> MetaTensor:
    """Noise with a place in the patient."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 255
    affine = torch.tensor([[0.5, 0, 0, 3], [0, 0.7, 0, -4], [0, 0, 1, 0], [0, 0, 0, 1]])
    return MetaTensor(values.to(dtype), affine=affine, meta={"filename_or_obj": "name.png"})


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal but for the last digit of values up to 255: which kernel sums a filter is the processor's choice."""
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-4, check_device=False)


def stated(transformed: MetaTensor) -> str:
    """What the image says of its transforms, beside which object it was."""
    return str([{k: v for k, v in one.items() if k not in ("id", "class")} for one in transformed.applied_operations])


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
@pytest.mark.parametrize(("shape", "size"), CASES)
def test_output_is_monais(shape: tuple[int, ...], size: tuple[int, int], dtype: torch.dtype) -> None:
    expected, out = (kind(size, **SMOOTH)(image(shape, dtype)) for kind in (Resize, QuickResize))
    assert isinstance(expected, MetaTensor)
    assert isinstance(out, MetaTensor)
    assert_same(out, expected)
    assert (out.dtype, stated(out)) == (expected.dtype, stated(expected))
    assert torch.equal(out.affine, expected.affine)
    assert out.meta["filename_or_obj"] == "name.png"


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "bilinear"},
        {"mode": "nearest", "anti_aliasing": True},
        {"mode": "bicubic", "anti_aliasing": True},
        {**SMOOTH, "align_corners": True},
        {**SMOOTH, "anti_aliasing_sigma": 3.0},
        {**SMOOTH, "dtype": torch.float64},
    ],
    ids=str,
)
def test_other_options_are_monais(options: dict[str, Any]) -> None:
    made = QuickResize((16, 16), **options)(image((1, 700, 600)))
    assert_same(made, Resize((16, 16), **options)(image((1, 700, 600))))
    assert_same(made, QuickResize((16, 16))(image((1, 700, 600)), **options))


def test_longest_side_and_volumes_are_monais() -> None:
    longest: dict[str, Any] = {"spatial_size": 32, "size_mode": "longest", **SMOOTH}
    assert_same(QuickResize(**longest)(image((1, 700, 600))), Resize(**longest)(image((1, 700, 600))))
    volume: dict[str, Any] = {"spatial_size": (8, 8, 8), "mode": "trilinear", "anti_aliasing": True}
    assert_same(QuickResize(**volume)(image((1, 70, 80, 60))), Resize(**volume)(image((1, 70, 80, 60))))


def test_dictionary_twin_and_its_inverse_are_monais() -> None:
    results = []
    for kind in (Resized, QuickResized):
        resize = kind(["image", "label"], (32, 24), mode=["bilinear", "nearest"], anti_aliasing=[True, False])
        data = resize({"image": image((1, 900, 700)), "label": (image((1, 900, 700)) > 250).float()})
        data["map"] = data["image"] * 2
        results.append((data, Invertd("map", resize, "image", nearest_interp=False)(data)["map"]))
    (theirs, their_map), (ours, our_map) = results
    for key in ("image", "label", "map"):
        assert_same(ours[key], theirs[key])
    assert our_map.shape == (1, 900, 700)
    assert_same(our_map, their_map)
    assert our_map.applied_operations == their_map.applied_operations == []


@pytest.mark.parametrize("shape", [(1, 1200, 1000), (2, 1089, 700), (16, 300, 200)])
@pytest.mark.parametrize("flip", [True, False])
def test_one_resampling_has_the_pixels_of_the_whole_filter(shape: tuple[int, ...], flip: bool) -> None:
    plain, resample = torch.rand(shape, generator=torch.Generator().manual_seed(0)), ResizedCropRotateFlip(33)
    sigma = [(side / 33 - 1) / 2 for side in shape[1:]]
    whole = torch.Tensor(GaussianSmooth(sigma)(plain))
    for box, angle in ((None, 0.0), ((3, 2, 20, 30), 0.0), ((0, 0, 33, 33), 7.0)):
        expected = ResizedCropRotateFlip(33, anti_aliasing=False)(whole, box=box, angle=angle, flip=flip)
        assert_same(resample(plain, box=box, angle=angle, flip=flip), expected)


@pytest.mark.parametrize(("height", "size"), [(3000, 64), (3000, 7), (2999, 224), (1089, 33), (65, 64), (9, 9), (1, 1)])
def test_rows_that_are_read_are_all_that_count(height: int, size: int) -> None:
    at = (torch.arange(size) + 0.5) * (height / size) - 0.5
    rows = rows_read(at, height)
    kept, values = torch.full((1, 1, height, 1), torch.nan), torch.rand(1, 1, height, 1)
    kept[:, :, rows] = values[:, :, rows]
    assert torch.equal(*(interpolate(one, (size, 1), mode="bilinear") for one in (kept, values)))
    assert len(rows) <= 3 * size


def test_rows_that_are_not_read_stay_zero() -> None:
    out = smoothed(torch.ones(1, 1000, 300), (5.0, 2.0), torch.tensor([500.5]))
    assert out.flatten(1).count_nonzero() == 2 * 300
    assert out[0, 500:502, 100].allclose(torch.ones(2), atol=1e-3)
