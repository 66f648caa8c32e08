"""Grey levels of slices; "imsave" against matplotlib itself."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from qfae_monai.transforms import QuantizeSlice, ScaleBitDepth


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_levels_are_those_of_matplotlib(tmp_path: Path, digits: int) -> None:
    values = np.random.default_rng(digits).normal(50, 300, (128, 129)).round(digits)
    matplotlib.image.imsave(tmp_path / "slice.png", values, cmap="gray")
    expected = np.asarray(Image.open(tmp_path / "slice.png"))[..., 0]
    before = values.copy()
    out = QuantizeSlice()(torch.from_numpy(values)[None])
    np.testing.assert_array_equal(values, before)  # not scaled in place
    assert out.dtype == torch.uint8
    np.testing.assert_array_equal(out.numpy()[0], expected)


@pytest.mark.parametrize(("bits", "dtype"), [(8, torch.uint8), (16, torch.int32)])
def test_nearest_level_is_within_half_a_step(bits: int, dtype: torch.dtype) -> None:
    values = torch.linspace(-200, 250, 1000, dtype=torch.float64).reshape(1, 20, 50)
    img = MetaTensor(values, meta={"filename_or_obj": "ct.nii.gz"})
    out = QuantizeSlice(bits, rounding="nearest")(img)
    assert isinstance(out, MetaTensor)
    assert out.dtype == dtype
    step = 450 / (2**bits - 1)
    assert float((out.as_tensor() * step - 200 - values).abs().max()) <= step / 2 + 1e-9
    assert out.meta["filename_or_obj"] == "ct.nii.gz"
    # the depth goes with the image: scaled back to [0, 1] without being told
    back = torch.as_tensor(ScaleBitDepth()(out), dtype=torch.float64)
    torch.testing.assert_close(back, (values + 200) / 450, atol=1 / 255, rtol=0, check_stride=False)


def test_fixed_range_is_the_same_for_all_slices_and_clips() -> None:
    quantize = QuantizeSlice(low=-200, high=250, rounding="nearest")
    assert quantize(torch.tensor([[[-1000, -200, 25, 250, 3000]]])).flatten().tolist() == [0, 0, 128, 255, 255]
    assert quantize(torch.tensor([[[25, 25]]])).flatten().tolist() == [128, 128]


def test_constant_slice() -> None:
    img = MetaTensor(torch.full((1, 3, 4), 7.0), meta={"filename_or_obj": "flat.nii.gz"})
    with pytest.raises(ValueError, match=r"flat.nii.gz: expected a slice with a range of values, got 7 to 7"):
        QuantizeSlice()(img)
    assert not QuantizeSlice(constant="zero")(img).any()


def test_other_images_are_refused_by_name() -> None:
    meta = {"filename_or_obj": "ct.nii.gz"}
    with pytest.raises(ValueError, match=r"ct.nii.gz: expected one slice .* \(1, 3, 4, 5\)"):
        QuantizeSlice()(MetaTensor(torch.rand(1, 3, 4, 5), meta=meta))
    with pytest.raises(ValueError, match=r"ct.nii.gz: expected finite pixels, got 2 of 3"):
        QuantizeSlice()(MetaTensor(torch.tensor([[[0, float("nan"), float("inf")]]]), meta=meta))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 16}, "got 16 and 'imsave'"),
        ({"bits": 12, "rounding": "nearest"}, "got 12"),
        ({"rounding": "up"}, "got 'up'"),
        ({"constant": "skip"}, "'skip'"),
        ({"low": 3, "high": 3}, "got 3 and 3"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuantizeSlice(**arguments)
