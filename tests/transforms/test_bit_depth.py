"""The full range of a depth becomes [0, 1]: value / (2**bits - 1)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor

from qfae_monai.transforms import ScaleBitDepth, ScaleBitDepthd

TEST_CASES = [
    [None, np.array([0, 51, 255], dtype=np.uint8), [0.0, 0.2, 1.0]],
    [None, np.array([0, 13107, 65535], dtype=np.uint16), [0.0, 0.2, 1.0]],
    [12, np.array([0, 819, 4095], dtype=np.uint16), [0.0, 0.2, 1.0]],
    [12, torch.tensor([0, 819, 4095], dtype=torch.int32), [0.0, 0.2, 1.0]],
    [None, MetaTensor(torch.tensor([0, 13107, 65535], dtype=torch.int32), meta={"bits": 16}), [0.0, 0.2, 1.0]],
]
BAD_IMAGES = [
    [None, torch.tensor([0, 1], dtype=torch.int32), "bits to be given, got int32"],
    [None, torch.tensor([0.0, 1.0]), "expected integers, got float32"],
    [12, torch.tensor([0, 4096], dtype=torch.int32), "from 0 to 4095, got 0 to 4096"],
    [16, torch.tensor([-1, 5], dtype=torch.int32), "got -1 to 5"],
    [12, torch.tensor([0, 255], dtype=torch.uint8), "expected an image of 12 bits, got one of 8"],
]


@pytest.mark.parametrize(("bits", "img", "expected"), TEST_CASES)
def test_full_range_becomes_one(bits: int | None, img: NdarrayOrTensor, expected: list[float]) -> None:
    out = ScaleBitDepthd("image", bits)({"image": img})["image"]
    assert out.dtype == torch.float32
    np.testing.assert_allclose(np.asarray(out), expected, atol=1e-7)


@pytest.mark.parametrize(("bits", "img", "message"), BAD_IMAGES)
def test_image_of_another_depth_is_refused(bits: int | None, img: torch.Tensor, message: str) -> None:
    named = MetaTensor(img, meta={"filename_or_obj": "oct.png"})
    with pytest.raises(ValueError, match=rf"oct.png.*{message}"):
        ScaleBitDepth(bits)(named)


@pytest.mark.parametrize("bits", [0, 33])
def test_bad_depth_is_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"got {bits}"):
        ScaleBitDepth(bits)
