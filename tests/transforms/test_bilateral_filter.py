"""cv2's bilateral filter on 8-bit slices; the released bytes are compared in test_region_canvas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.transforms import BilateralFilter

REFUSED = [
    [torch.zeros(1, 4, 4), r"uint8 \(C, H, W\), got float32 of shape \(1, 4, 4\)"],
    [torch.zeros(1, 4, 4, dtype=torch.int16), "got int16"],
    [torch.zeros(4, 4, dtype=torch.uint8), r"got uint8 of shape \(4, 4\)"],
]


def test_formula() -> None:
    """One pixel by hand: weights exp(-d2 / 2 / 75^2) over the disc of radius 4, times the same of the differences."""
    values = np.random.default_rng(0).integers(0, 256, (9, 9)).astype(np.float64)
    rows, columns = np.mgrid[-4:5, -4:5]
    squared = rows**2 + columns**2
    weights = np.exp(-(squared + (values - values[4, 4]) ** 2) / (2 * 75**2)) * (squared <= 16)
    expected = (weights * values).sum() / weights.sum()
    out = BilateralFilter()(torch.from_numpy(values.astype(np.uint8))[None])
    assert abs(int(out[0, 4, 4]) - expected) <= 1


def test_channels_are_filtered_one_by_one_and_metadata_stay() -> None:
    channels = np.random.default_rng(0).integers(0, 256, (2, 20, 30)).astype(np.uint8)
    img = MetaTensor(torch.from_numpy(channels), meta={"filename_or_obj": "ct.png"})
    out = BilateralFilter()(img)
    assert isinstance(out, MetaTensor)
    assert out.dtype == torch.uint8
    assert out.meta["filename_or_obj"] == "ct.png"
    for channel in (0, 1):
        assert torch.equal(out[channel], BilateralFilter()(img[channel : channel + 1])[0])


@pytest.mark.parametrize(("img", "message"), REFUSED)
def test_other_images_are_refused_by_name(img: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=rf"ct.png.*{message}"):
        BilateralFilter()(MetaTensor(img, meta={"filename_or_obj": "ct.png"}))


@pytest.mark.parametrize("arguments", [(0, 75, 75), (9, 0, 75), (9, 75, -1)])
def test_bad_arguments_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match=f"got {arguments[0]}"):
        BilateralFilter(*arguments)
