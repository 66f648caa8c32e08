"""A CT window is for HU: what cannot be HU is refused."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.transforms import CTWindow, CTWindowd

# centre, width, HU -> [0, 1]
TEST_CASES = [
    [50, 400, [-1000, -150, -50, 50, 250, 3000], [0, 0, 0.25, 0.5, 1, 1]],
    [-600, 1500, [-1350, -600, 150], [0, 0.5, 1]],
]
REFUSED = [
    [[0.0, 2095.0], "got 0 to 2095; was the rescale intercept applied"],
    [[0.0, 1.0], "got 0 to 1"],
    [[-3.1, 4.2], "got -3.1 to 4.2"],
    [[-1000.0, 65535.0], "got -1000 to 65535"],
    [[-1000.0, float("nan")], "got nan"],
    [[float("-inf"), 100.0], "got -inf"],
]


@pytest.mark.parametrize(("center", "width", "values", "expected"), TEST_CASES)
@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
def test_window(center: float, width: float, values: list, expected: list, dtype: torch.dtype) -> None:
    img = MetaTensor(torch.tensor(values, dtype=dtype)[None, None], meta={"filename_or_obj": "ct.nii.gz"})
    out = CTWindowd("image", center, width)({"image": img})["image"]
    assert out.dtype == torch.float32
    assert out.meta["filename_or_obj"] == "ct.nii.gz"
    torch.testing.assert_close(out.as_tensor().flatten(), torch.tensor(expected, dtype=torch.float32))


def test_limits_instead_of_centre_and_width() -> None:
    img = torch.tensor([[[-1000.0, -200.0, 25.0, 250.0]]])
    out = CTWindowd("image", low=-200, high=250)({"image": img})["image"]
    assert torch.equal(torch.as_tensor(out), torch.as_tensor(CTWindow(25, 450)(img)))
    assert out.flatten().tolist() == [0, 0, 0.5, 1]


@pytest.mark.parametrize(("values", "message"), REFUSED)
def test_what_is_not_hu_is_refused_by_name(values: list, message: str) -> None:
    img = MetaTensor(torch.tensor(values)[None, None], meta={"filename_or_obj": "ct.nii.gz"})
    with pytest.raises(ValueError, match=rf"ct.nii.gz: expected HU.*{message}"):
        CTWindow(50, 400)(img)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"center": 50, "width": 0}, "got 50 to 50"),
        ({"low": 250, "high": -200}, "got 250 to -200"),
        ({"center": 50}, "width None"),
        ({"center": 50, "width": 400, "low": 0, "high": 1}, "low 0 and high 1"),
        ({}, "center None"),
    ],
)
def test_bad_window_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CTWindow(**arguments)
