"""The released LiverCT canvas byte for byte, masks in the same geometry, and the way back onto the image's grid.

``data/liver_canvas.npz``: slices before (in_*), on the canvas (prefilter_*) and after the bilateral filter (out_*), by
the released script on phantoms; OpenCV 4.12 and 5.0 gave the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, Invertd, Resized

from qfae_monai.transforms import BilateralFilter, RegionCanvas, RegionCanvasd, bounding_box

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


@pytest.mark.parametrize(("height", "width"), [(20, 30), (21, 33), (32, 32), (1, 1)])
def test_region_that_fits_comes_back_exactly(height: int, width: int) -> None:
    img = organ(height, width, 17, 29)
    transform = RegionCanvas(size=33)
    back = transform.inverse(transform(img))
    assert isinstance(back, MetaTensor)
    assert torch.equal(back.as_tensor(), img.as_tensor())
    assert torch.equal(back.affine, AFFINE)
    assert back.applied_operations == []
    assert back.meta["filename_or_obj"] == "ct.png"


def test_empty_image_gives_an_empty_canvas_and_comes_back_empty() -> None:
    transform = RegionCanvas(size=32)
    canvas = transform(slice_of(np.zeros((50, 40), np.uint8)))
    assert canvas.shape == (1, 32, 32)
    assert not canvas.any()
    assert transform.inverse(canvas).shape == (1, 50, 40)


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
    out = RegionCanvasd(size=32)({"image": img, "label": slice_of(lesion, "mask.png")})
    assert set(out["label"].unique().tolist()) == {0, 2}
    assert torch.equal(out["image"].affine, out["label"].affine)
    # its middle is where the image's affine puts it
    middle = out["label"].affine @ torch.tensor([*torch.nonzero(out["label"][0]).double().mean(0), 0, 1]).double()
    expected = AFFINE @ torch.tensor([12.5, 22.5, 0, 1]).double()
    torch.testing.assert_close(middle, expected, atol=1.0, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(20, 30), (50, 41)])
@pytest.mark.parametrize("nearest", [True, False])
def test_anomaly_map_comes_back_to_the_grid(height: int, width: int, nearest: bool) -> None:
    """Through a later resize and back: move the lesion and the peak moves with it."""
    canvas = Compose([RegionCanvasd("image", size=32), Resized("image", (64, 64))])
    back = Invertd("pred", canvas, orig_keys="image", nearest_interp=nearest)
    for row, column in ((12, 20), (20, 30)):
        img = organ(height, width, 5, 8).float()
        img[img > 0] = 1
        img[0, row - 1 : row + 2, column - 1 : column + 2] = 100
        data = canvas({"image": img})
        data["pred"] = MetaTensor(data["image"].as_tensor() + 10.0)  # not 0 outside of the region
        out = back(data)["pred"]
        assert out.shape == img.shape
        torch.testing.assert_close(out.affine, AFFINE, atol=0, rtol=0)
        assert out[img == 0].abs().max() == 0
        assert (out[img > 0] > 0).all()
        peak = divmod(int(out.argmax()), 80)
        assert abs(peak[0] - row) <= 2
        assert abs(peak[1] - column) <= 2


def test_maps_of_slices_make_up_the_ct_grid() -> None:
    """Each slice has a canvas and an affine of its own; their maps, brought back, are one map of the volume."""
    volume = torch.zeros(1, 60, 80, 3)
    volume[0, 5:25, 8:38, 0] = 1
    volume[0, 9:59, 2:43, 1] = 1  # larger than the canvas; slice 2 is empty
    transform = RegionCanvas(size=32)
    maps = []
    for index in range(3):
        step = torch.eye(4, dtype=torch.float64)
        step[2, 3] = index
        canvas = transform(MetaTensor(volume[..., index], affine=AFFINE @ step))
        back = transform.inverse(canvas * 2 + 1)
        assert isinstance(back, MetaTensor)
        assert torch.equal(back.affine, AFFINE @ step)
        maps.append(back.as_tensor())
    assert torch.equal(torch.stack(maps, -1), volume * 3)


def test_batch_from_workers_comes_back() -> None:
    """Traces survive worker processes, collation and decollation; cv2 does not hang in forked workers."""
    canvas = RegionCanvasd("image", size=32)
    images = [organ(20, 30, 5, 8), organ(50, 41, 2, 3)]
    for img in images:
        canvas({"image": BilateralFilter()(img)})  # cv2's threads exist before the fork
    [batch] = DataLoader(Dataset([{"image": img} for img in images], canvas), batch_size=2, num_workers=2)
    batch["pred"] = torch.ones_like(batch["image"], dtype=torch.bfloat16)
    back = Invertd("pred", canvas, orig_keys="image", nearest_interp=False)
    for img, item in zip(images, decollate_batch(batch), strict=True):
        pred = back(item)["pred"]
        assert pred.dtype == torch.float32
        assert torch.equal(pred.as_tensor(), (img.as_tensor() > 0).float())


def test_mask_may_be_missing_but_the_image_may_not() -> None:
    assert set(RegionCanvasd()({"image": organ(9, 9, 0, 0)})) == {"image"}
    with pytest.raises(KeyError, match="'image'"):
        RegionCanvasd()({"label": organ(9, 9, 0, 0)})


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"ct.png.*slice \(C, H, W\).*\(1, 4, 4, 4\)"):
        RegionCanvasd("image")({"image": slice_of(np.ones((4, 4, 4), np.uint8))})
    with pytest.raises(ValueError, match=r"ct.png.*mode 'nearest', got int64"):
        RegionCanvas()(slice_of(np.ones((4, 4), np.int64)))
    with pytest.raises(ValueError, match=r"mask.png.*ct.png.*\(5, 4\) and \(4, 4\)"):
        RegionCanvasd()({"image": slice_of(np.ones((4, 4))), "label": slice_of(np.ones((5, 4)), "mask.png")})
    with pytest.raises(ValueError, match=r"ct.png.*within \(4, 4\) pixels.*\(2, 2, 3, 1\)"):
        RegionCanvas()(slice_of(np.ones((4, 4))), (2, 2, 3, 1))
    transform = RegionCanvas(size=32)
    canvas = transform(organ(20, 30, 5, 8))
    with pytest.raises(ValueError, match="map of 32 x 32 pixels"):
        transform.inverse(canvas[:, 1:])


@pytest.mark.parametrize(("size", "mode", "message"), [(0, "bilinear", "got 0"), (9, "cubic", "got 'cubic'")])
def test_bad_arguments_are_refused(size: int, mode: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegionCanvas(size, mode)
