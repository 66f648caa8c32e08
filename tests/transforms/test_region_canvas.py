"""The released LiverCT canvas byte for byte, and masks in the same geometry.

``data/liver_canvas.npz``: slices before (in_*), on the canvas (prefilter_*) and after the bilateral filter (out_*), by
the released script on phantoms; OpenCV 4.12 and 5.0 gave the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.transforms import BilateralFilter, RegionCanvas, bounding_box

RELEASED = np.load(Path(__file__).parent / "data" / "liver_canvas.npz")
CASES = sorted(name.removeprefix("in_") for name in RELEASED if name.startswith("in_"))
# an oblique slice: columns are rotated, of unequal length, and off the origin
AFFINE = torch.tensor(
    [[0.6, -0.3, 0.0, -90.0], [0.2, 0.7, 0.1, 40.0], [0.0, 0.0, 5.0, 12.5], [0.0, 0.0, 0.0, 1.0]], dtype=torch.float64
)


def slice_of(values: np.ndarray | torch.Tensor, name: str = "ct.png") -> MetaTensor:
    return MetaTensor(torch.as_tensor(values)[None], affine=AFFINE, meta={"filename_or_obj": name})


def organ(height: int, width: int, top: int, left: int, shape: tuple[int, int] = (60, 80)) -> MetaTensor:
    """Noise in 1..255 in a box, zeros around it."""
    values = np.zeros(shape, np.uint8)
    values[top : top + height, left : left + width] = np.random.default_rng(0).integers(1, 256, (height, width))
    return slice_of(values)


@pytest.mark.parametrize("case", CASES)
def test_released_bytes(case: str) -> None:
    canvas = RegionCanvas()(slice_of(RELEASED[f"in_{case}"]))
    assert canvas.dtype == torch.uint8
    if f"prefilter_{case}" in RELEASED:
        np.testing.assert_array_equal(canvas.numpy()[0], RELEASED[f"prefilter_{case}"])
    np.testing.assert_array_equal(BilateralFilter()(canvas).numpy()[0], RELEASED[f"out_{case}"])


def test_side_that_truncates_to_nothing_keeps_a_pixel() -> None:
    img = np.zeros((2, 700), np.uint8)
    img[0] = 200  # 1 x 700 pixels: 224 / 700 of a row, of which the released script leaves nothing
    canvas = RegionCanvas()(slice_of(img))
    assert int((canvas == 200).sum()) == 224


def test_empty_image_gives_an_empty_canvas() -> None:
    canvas = RegionCanvas(size=32)(slice_of(np.zeros((50, 40), np.uint8)))
    assert canvas.shape == (1, 32, 32)
    assert not canvas.any()


@pytest.mark.parametrize(("height", "width"), [(20, 30), (50, 41), (9, 75)])
def test_affine_says_where_canvas_pixels_come_from(height: int, width: int) -> None:
    """Edges of the region are at the same place in the patient, on the image and on the canvas."""
    top, left = 3, 4
    canvas = RegionCanvas(size=32)(organ(height, width, top, left))
    assert isinstance(canvas, MetaTensor)
    canvas_top, canvas_left, rows, columns = bounding_box(canvas.as_tensor())
    for edge in (0, 1):
        on_image = torch.tensor([top + edge * height - 0.5, left + edge * width - 0.5, 0, 1]).double()
        on_canvas = torch.tensor([canvas_top + edge * rows - 0.5, canvas_left + edge * columns - 0.5, 0, 1]).double()
        torch.testing.assert_close(canvas.affine @ on_canvas, AFFINE @ on_image)


@pytest.mark.parametrize(("height", "width"), [(20, 30), (50, 41)])
def test_mask_follows_its_image(height: int, width: int) -> None:
    img = organ(height, width, 5, 8)
    lesion = torch.zeros(60, 80, dtype=torch.int64)
    lesion[10:16, 20:26] = 2  # a label that interpolation would turn to 1
    image = RegionCanvas(size=32)(img)
    label = RegionCanvas(size=32, mode="nearest")(slice_of(lesion, "mask.png"), bounding_box(img))
    assert isinstance(image, MetaTensor)
    assert isinstance(label, MetaTensor)
    assert set(label.unique().tolist()) == {0, 2}
    assert torch.equal(image.affine, label.affine)
    # its middle is where the image's affine puts it
    middle = label.affine @ torch.tensor([*torch.nonzero(label[0]).double().mean(0), 0, 1]).double()
    expected = AFFINE @ torch.tensor([12.5, 22.5, 0, 1]).double()
    torch.testing.assert_close(middle, expected, atol=1.0, rtol=0)


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"ct.png.*slice \(C, H, W\).*\(1, 4, 4, 4\)"):
        RegionCanvas()(slice_of(np.ones((4, 4, 4), np.uint8)))
    with pytest.raises(ValueError, match=r"ct.png.*mode 'nearest', got int64"):
        RegionCanvas()(slice_of(np.ones((4, 4), np.int64)))
    with pytest.raises(ValueError, match=r"ct.png.*within \(4, 4\) pixels.*\(2, 2, 3, 1\)"):
        RegionCanvas()(slice_of(np.ones((4, 4))), (2, 2, 3, 1))


@pytest.mark.parametrize(("size", "mode", "message"), [(0, "bilinear", "got 0"), (9, "cubic", "got 'cubic'")])
def test_bad_arguments_are_refused(size: int, mode: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegionCanvas(size, mode)
