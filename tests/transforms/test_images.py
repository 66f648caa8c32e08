"""Image files keep their depth, orientation and luminance; what PIL would load with a loss is refused."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import AsDiscreted, Compose
from PIL import EpsImagePlugin, Image

from qfae_monai.files import machine_memory
from qfae_monai.transforms import LoadGreyImage, LoadGreyImaged, NormalLabeld, ScaleBitDepthd

GREY8 = (np.arange(12, dtype=np.uint8) * 20).reshape(3, 4)
GREY16 = (np.arange(12, dtype=np.uint16) * 5000).reshape(3, 4)
RGB = np.stack([GREY8, GREY8[::-1], GREY8 // 2], -1)
LUMINANCE = np.asarray(Image.fromarray(RGB).convert("L"))
BIG_ENDIAN = Image.frombytes("I;16B", (4, 3), GREY16.astype(">u2").tobytes())

TEST_CASES = [
    ["grey8.png", Image.fromarray(GREY8), GREY8, 8],
    ["grey8.bmp", Image.fromarray(GREY8), GREY8, 8],
    ["grey8.tif", Image.fromarray(GREY8), GREY8, 8],
    ["grey16.png", Image.fromarray(GREY16), GREY16, 16],
    ["grey16.tif", Image.fromarray(GREY16), GREY16, 16],
    ["big_endian.tif", BIG_ENDIAN, GREY16, 16],
    ["grey32.tif", Image.fromarray(GREY16.astype(np.int32)), GREY16, None],
    ["rgb.png", Image.fromarray(RGB), LUMINANCE, 8],
    ["rgba.png", Image.fromarray(np.dstack([RGB, GREY8])), LUMINANCE, 8],
    ["grey_alpha.png", Image.fromarray(GREY8).convert("LA"), GREY8, 8],
    ["palette.png", Image.fromarray(GREY8[::-1]).convert("P"), GREY8[::-1], 8],
    ["bits1.png", Image.fromarray(GREY8 > 100), np.where(GREY8 > 100, 255, 0), 8],
]


@pytest.mark.parametrize(("name", "stored", "expected", "bits"), TEST_CASES)
def test_values_are_as_stored(
    tmp_path: Path, name: str, stored: Image.Image, expected: np.ndarray, bits: int | None
) -> None:
    stored.save(tmp_path / name)
    img = LoadGreyImage()(tmp_path / name)
    assert isinstance(img, MetaTensor)
    assert img.shape == (1, 3, 4)
    assert img.meta.get("bits") == bits
    np.testing.assert_array_equal(img.numpy()[0], expected)


def damaged(path: Path) -> None:
    Image.fromarray(GREY16).save(path)
    path.write_bytes(path.read_bytes()[:-30])


def two_frames(path: Path) -> None:
    Image.fromarray(GREY8).save(path, save_all=True, append_images=[Image.fromarray(GREY8)])


def colours_of_16_bits(path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(path), np.stack([GREY16] * 3, -1))


def text(path: Path) -> None:
    path.write_text("no image")


REFUSED = [
    ["cut.png", damaged, "truncated"],
    ["frames.tif", two_frames, "expected one frame, got 2"],
    ["colours.png", colours_of_16_bits, "got RGB of 16 bits a channel"],
    ["text.png", text, "cannot identify"],
]


@pytest.mark.parametrize(("name", "write", "message"), REFUSED)
def test_lossy_or_damaged_file_is_refused_by_name(tmp_path: Path, name: str, write: object, message: str) -> None:
    assert callable(write)
    write(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        LoadGreyImage()(tmp_path / name)


def test_image_and_mask_to_the_network(tmp_path: Path) -> None:
    Image.fromarray(GREY16 // 16).save(tmp_path / "image.png")  # 12 bits in 16
    Image.fromarray(np.where(GREY8 > 100, 255, 0).astype(np.uint8)).save(tmp_path / "mask.png")
    load = Compose([LoadGreyImaged(), ScaleBitDepthd("image", bits=12), AsDiscreted("label", threshold=0.5)])
    out = load({"image": tmp_path / "image.png", "label": tmp_path / "mask.png", "case": "a"})
    np.testing.assert_allclose(out["image"].numpy()[0], (GREY16 // 16) / 4095, rtol=1e-6)
    np.testing.assert_array_equal(out["label"].numpy()[0], GREY8 > 100)


COLOURS = [
    ["rgb.png", Image.fromarray(RGB), RGB],
    ["rgba.png", Image.fromarray(np.dstack([RGB, GREY8])), RGB],
    ["equal.png", Image.fromarray(np.dstack([GREY8] * 3)), GREY8[..., None]],
    ["grey8.png", Image.fromarray(GREY8), GREY8[..., None]],
    ["grey16.png", Image.fromarray(GREY16), GREY16[..., None]],
]


@pytest.mark.parametrize(("name", "stored", "expected"), COLOURS)
def test_colours_are_three_channels_of_every_image(
    tmp_path: Path, name: str, stored: Image.Image, expected: np.ndarray
) -> None:
    stored.save(tmp_path / name)
    image = LoadGreyImage(colours=True)(tmp_path / name)
    assert image.shape[0] == 3
    assert np.array_equal(np.asarray(image).transpose(1, 2, 0), np.broadcast_to(expected, (*expected.shape[:2], 3)))
    if image.dtype == torch.uint8:
        released = np.asarray(Image.open(tmp_path / name).convert("RGB")).transpose(2, 0, 1)
        assert np.array_equal(np.asarray(image), released)
    scaled = ScaleBitDepthd(keys="image")({"image": image})["image"]
    assert float(scaled.max()) == pytest.approx(expected.max() / (255 if expected.dtype == np.uint8 else 65535))


def test_a_mask_in_colours_is_0_and_1_beside_an_image_in_colours(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "image.png")
    mask = np.zeros((3, 4, 4), np.uint8)
    mask[1, 2] = (112, 123, 143, 255)  # matplotlib's bone, as BMAD's masks of BraTS2021 have it
    Image.fromarray(mask).save(tmp_path / "mask.png")
    item: dict[Hashable, str] = {"image": str(tmp_path / "image.png"), "label": str(tmp_path / "mask.png")}
    read = LoadGreyImaged(colours=True)(item)
    assert read["image"].shape == (3, 3, 4)
    assert read["label"].shape == (1, 3, 4)
    assert read["label"].nonzero().tolist() == [[0, 1, 2]]
    assert float(read["label"].max()) == 1
    assert LoadGreyImaged()(item)["image"].shape == (1, 3, 4)


def test_mask_of_other_size_is_refused_by_both_names(tmp_path: Path) -> None:
    Image.fromarray(GREY8).save(tmp_path / "image.png")
    Image.fromarray(GREY8.T).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=r"mask.png.*image.png.*\(4, 3\) and \(3, 4\)"):
        LoadGreyImaged()({"image": tmp_path / "image.png", "label": tmp_path / "mask.png"})


@pytest.mark.parametrize("value", [0, 7])
def test_constant_image_is_refused_by_name_but_a_constant_mask_is_not(tmp_path: Path, value: int) -> None:
    Image.new("L", (4, 3), value).save(tmp_path / "flat.png")
    Image.fromarray(GREY8).save(tmp_path / "image.png")
    with pytest.raises(ValueError, match=rf"flat.png: expected an image, got {value} in every pixel"):
        LoadGreyImaged()({"image": tmp_path / "flat.png"})
    out = LoadGreyImaged()({"image": tmp_path / "image.png", "label": tmp_path / "flat.png"})
    assert (out["label"] == (value > 0)).all()


def test_mask_may_be_missing_but_the_image_may_not(tmp_path: Path) -> None:
    Image.fromarray(GREY8).save(tmp_path / "image.png")
    assert set(LoadGreyImaged()({"image": tmp_path / "image.png"})) == {"image"}
    with pytest.raises(KeyError, match="'image'"):
        LoadGreyImaged()({"label": tmp_path / "image.png"})


NORMAL_LABELS = [
    [{"image_label": 0}, True],
    [{"image_label": 1}, False],
    [{}, False],
]


@pytest.mark.parametrize(("marks", "given"), NORMAL_LABELS)
def test_only_normal_images_are_given_an_empty_mask(marks: dict, given: bool) -> None:
    out = NormalLabeld()({"image": torch.ones(1, 2, 3), **marks})
    assert ("label" in out) == given
    if given:
        assert torch.equal(out["label"], torch.zeros(1, 2, 3))


def test_mask_of_a_normal_image_is_kept() -> None:
    label = torch.ones(1, 2, 3)
    assert NormalLabeld()({"image": label, "label": label, "image_label": 0})["label"] is label


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("1", (12_000, 2_000)).save(path) if suffix != ".jpg" else Image.new("L", (12_000, 2_000)).save(path)
    monkeypatch.setattr(machine_memory, "available_memory", lambda: 200_000_000)
    with pytest.raises(ValueError, match=rf"a\{suffix}: .*the 0\.2 GB .*12000 x 2000 pixels, which takes 0\.3 GB$"):
        LoadGreyImage()(path)


def test_an_image_beyond_pils_own_limit_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (100, 90)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"a\.png: expected a readable image, .*exceeds limit") as refused:
        LoadGreyImage()(tmp_path / "a.png")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "GIF", "WEBP", "PPM", "TGA", "ICO", "PCX", "JPEG2000"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_a_file_of_another_kind_named_as_an_image_is_refused(
    tmp_path: Path, kind: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostScript above all: PIL's own way is to hand it to a program that runs it, and to look at it is to parse it."""
    asked: list[object] = []
    for name in ("_open", "load"):
        monkeypatch.setattr(EpsImagePlugin.EpsImageFile, name, lambda *given: asked.append(given))
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: asked.append(given))
    path = tmp_path / f"scan{suffix}"
    try:
        Image.fromarray(np.tile(RGB, (6, 6, 1))).save(path, kind)
    except (OSError, KeyError):
        pytest.skip(f"this Pillow does not write {kind}")
    with pytest.raises(ValueError, match=rf"scan\{suffix}: expected a readable image, got one that is not") as refused:
        LoadGreyImage()(path)
    assert str(refused.value).count("\n") == 0
    assert not asked
