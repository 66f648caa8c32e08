"""DICOM pixels to real values: stored types and bits, rescaling, inversion, padding, colour, codecs."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from qfae_monai.reading import read_series
from tests.reading import dicom_factory as factory

SYNTAXES = [factory.EXPLICIT, factory.IMPLICIT, factory.BIG, factory.DEFLATED]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8", "int32", "uint32"])
def test_stored_types_are_kept(tmp_path: Path, syntax: str, dtype: str) -> None:
    pixels = factory.volume(dtype=dtype) if dtype != "uint8" else (factory.volume() % 251).astype(np.uint8)
    if dtype.startswith("int"):
        pixels = pixels - 200
    stored = pixels.astype(pixels.dtype.newbyteorder(">")) if syntax == factory.BIG else pixels
    factory.series(tmp_path, stored, syntax=syntax)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, pixels.T)
    assert found.array.dtype == np.dtype(dtype)
    assert (found.attributes["bits_stored"], found.attributes["signed"]) == (pixels.itemsize * 8, dtype[0] == "i")


def test_twelve_signed_bits_are_extended_and_overlays_in_the_rest_are_not_values(tmp_path: Path) -> None:
    pixels = factory.volume() - 200
    stored = (pixels & 0x0FFF) | 0x5000  # an overlay's bits above the value
    factory.series(tmp_path, stored.astype(np.int16), BitsStored=12, HighBit=11)
    assert np.array_equal(read_series(tmp_path).array, pixels.T)


def test_rescaling_is_applied_slice_by_slice(tmp_path: Path) -> None:
    slopes, intercepts = [1.5, 2.0, 2.5, 3.0, 0.5], [-10.0, 0.0, 1.0, 5.0, 7.0]
    factory.series(tmp_path, RescaleSlope=slopes, RescaleIntercept=intercepts)
    expected = factory.volume() * np.reshape(slopes, (5, 1, 1)) + np.reshape(intercepts, (5, 1, 1))
    assert np.allclose(read_series(tmp_path).array, expected.T)


def test_hounsfield_units_stay_integers(tmp_path: Path) -> None:
    factory.series(tmp_path, factory.volume(dtype=np.uint16), RescaleSlope=1, RescaleIntercept=-1024)
    found = read_series(tmp_path)
    assert found.array.dtype == np.int16
    assert np.array_equal(found.array, factory.volume().T - 1024)


MONOCHROME1: list[list[Any]] = [["uint16", 12, 4095], ["int16", 16, -1], ["uint8", 8, 255]]


@pytest.mark.parametrize(("dtype", "bits", "ends"), MONOCHROME1)
def test_monochrome1_is_inverted_within_its_bits(tmp_path: Path, dtype: str, bits: int, ends: int) -> None:
    pixels = (factory.volume() % 200).astype(dtype)
    factory.series(tmp_path, pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=bits, HighBit=bits - 1)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, (ends - pixels.astype(int)).T)
    assert found.attributes["photometric_interpretation"] == "MONOCHROME1"


def test_padding_takes_the_minimum_of_the_rest(tmp_path: Path) -> None:
    pixels = factory.volume()
    pixels[:, 0, 0] = -2000
    factory.series(tmp_path, pixels, PixelPaddingValue=-2000, RescaleSlope=1, RescaleIntercept=-1000)
    found = read_series(tmp_path)
    assert found.padding is not None
    assert found.padding.sum() == 5
    assert found.padding[0, 0].all()
    assert (found.array[0, 0] == 1 - 1000).all()
    assert np.array_equal(found.array[1:], pixels.T[1:] - 1000)


def test_padding_range_and_inversion(tmp_path: Path) -> None:
    pixels = factory.volume(dtype=np.uint16) + 100
    pixels[0, 0] = [65535, 65000, 65200]
    factory.series(
        tmp_path,
        pixels,
        PhotometricInterpretation="MONOCHROME1",
        PixelPaddingValue=65535,
        PixelPaddingRangeLimit=65100,
    )
    found = read_series(tmp_path)
    assert found.padding is not None
    assert [tuple(at) for at in np.argwhere(found.padding)] == [(0, 0, 0), (2, 0, 0)]
    assert int(found.array.min()) == int(found.array[0, 0, 0]) == 535  # 65535 - 65000


def test_colour_becomes_luminance_with_a_warning(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (4, 3, 3), dtype=np.uint8)
    dataset = factory.image(rgb[..., 0], PixelData=rgb.tobytes() + b"", SamplesPerPixel=3, PlanarConfiguration=0)
    dataset.PhotometricInterpretation = "RGB"
    factory.write(tmp_path / "a.dcm", dataset)
    with pytest.warns(UserWarning, match=r"a\.dcm: colour \(RGB\) reduced to luminance"):
        found = read_series(tmp_path / "a.dcm")
    assert np.array_equal(found.array[..., 0].T, np.rint(rgb @ [0.299, 0.587, 0.114]))


def test_two_pixels_in_each_big_endian_word_come_out_in_order(tmp_path: Path) -> None:
    pixels = (factory.volume((1, 4, 4)) % 251).astype(np.uint8)
    swapped = pixels.view(np.uint16).byteswap().view(np.uint8)
    path = factory.write(tmp_path / "a.dcm", factory.image(swapped[0]), factory.BIG)
    data = path.read_bytes()
    assert data.count(b"\x7f\xe0\x00\x10OB") == 1
    path.write_bytes(data.replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW"))
    assert np.array_equal(read_series(path).array[..., 0].T, pixels[0])


def test_stored_luminance_is_taken_as_it_is(tmp_path: Path) -> None:
    luminance = np.arange(8, dtype=np.uint8).reshape(2, 4)
    pairs = np.concatenate([luminance.reshape(2, 2, 2), np.full((2, 2, 2), 128, np.uint8)], axis=-1)  # Y1 Y2 Cb Cr
    dataset = factory.image(luminance, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422")
    dataset.PixelData, dataset.PlanarConfiguration = pairs.tobytes(), 0
    factory.write(tmp_path / "a.dcm", dataset)
    with pytest.warns(UserWarning, match="luminance"):
        assert np.array_equal(read_series(tmp_path / "a.dcm").array[..., 0].T, luminance)


def encapsulated(frame: bytes) -> bytes:
    """One frame behind an empty offset table."""
    frame += b"\0" * (len(frame) % 2)
    return (
        b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0"
        + len(frame).to_bytes(4, "little")
        + frame
        + b"\xfe\xff\xdd\xe0"
        + bytes(4)
    )


def write_compressed(path: Path, pixels: np.ndarray, frame: bytes, syntax: str) -> Path:
    dataset = factory.image(pixels)
    dataset.PixelData = encapsulated(frame)
    dataset["PixelData"].is_undefined_length = True
    return factory.write(path, dataset, syntax)


ROWS, COLUMNS = np.mgrid[:128, :128]
FROM_CENTRE = np.hypot(ROWS - 63.5, COLUMNS - 63.5)  # pixels; padding is outside of a circle
BLOCK = 12  # pixels about an edge, where JPEG rings: the diagonal of its blocks
HOLE = np.s_[56:72, 48:72]  # whole blocks in the middle


def lossy(path: Path, padding: int, dtype: Any, **options: Any) -> np.ndarray:
    """An image with padding around a body with a hole nearly as dark, compressed; where padding is."""
    top = 255 if dtype is np.uint8 else 4095
    body = top * (0.5 + 0.2 * np.sin(ROWS / 9) * np.cos(COLUMNS / 13))
    body[HOLE] = padding + (1 if padding == 0 else -1)
    outside = FROM_CENTRE > 52
    pixels = np.where(outside, padding, body).astype(dtype)
    written = BytesIO()
    Image.fromarray(pixels).save(written, **options)
    syntax = "1.2.840.10008.1.2.4.50" if options["format"] == "JPEG" else "1.2.840.10008.1.2.4.91"
    dataset = factory.image(pixels, PixelPaddingValue=padding, LossyImageCompression="01")
    dataset.PixelData = encapsulated(written.getvalue())
    dataset["PixelData"].is_undefined_length = True
    factory.write(path, dataset, syntax)
    return outside


LOSSY: list[Any] = [
    *([padding, np.uint8, {"format": "JPEG", "quality": q}] for padding in (0, 255) for q in (75, 90, 95)),
    pytest.param(
        0,
        np.uint16,
        {"format": "JPEG2000", "irreversible": True, "quality_mode": "rates", "quality_layers": [10], "no_jp2": True},
        marks=pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow without JPEG 2000"),
    ),
]


@pytest.mark.parametrize(("padding", "dtype", "options"), LOSSY)
def test_lossy_padding_is_found_and_dark_tissue_is_kept(
    tmp_path: Path, padding: int, dtype: Any, options: dict[str, Any]
) -> None:
    outside = lossy(tmp_path / "a.dcm", padding, dtype, **options)
    found = read_series(tmp_path / "a.dcm")
    assert found.padding is not None
    mask = found.padding[..., 0].T
    assert mask[FROM_CENTRE > 52 + BLOCK].mean() > 0.995
    assert mask[outside].mean() > 0.8
    assert not mask[FROM_CENTRE < 52 - BLOCK].any()


def test_padding_of_lossless_pixels_is_exact(tmp_path: Path) -> None:
    pixels = factory.volume((1, 8, 8), np.uint16) + 100
    pixels[0, 0], pixels[0, 1] = 0, 1
    factory.write(tmp_path / "a.dcm", factory.image(pixels[0], PixelPaddingValue=0))
    found = read_series(tmp_path / "a.dcm")
    assert found.padding is not None
    assert found.padding[..., 0].T.sum(axis=1).tolist() == [8, 0, 0, 0, 0, 0, 0, 0]


def test_run_length_encoding(tmp_path: Path) -> None:
    pixels = (factory.volume((1, 4, 4)) % 251).astype(np.uint8)
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64  # one segment behind the header
    literal = bytes([15]) + pixels.tobytes()  # 16 bytes as they are
    path = write_compressed(tmp_path / "a.dcm", pixels[0], header.tobytes() + literal, factory.RLE)
    assert np.array_equal(read_series(path).array[..., 0].T, pixels[0])
    # a segment that ends in the middle of a run must be an error, not a panic of the decoder
    path = write_compressed(tmp_path / "b.dcm", pixels[0], header.tobytes() + literal[:5], factory.RLE)
    with pytest.raises(ValueError, match=r"b\.dcm: .*RLE Lossless \(1\.2\.840\.10008\.1\.2\.5\)"):
        read_series(path)


def test_codec_of_another_size_than_the_header_is_refused(tmp_path: Path) -> None:
    frame = bytes.fromhex("ffd8ffc0000b08ffffffff0101110000ffd9")  # a JPEG header of 65535 x 65535
    path = write_compressed(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8), frame, "1.2.840.10008.1.2.4.50")
    with pytest.raises(ValueError, match=r"a\.dcm: damaged JPEG Baseline.*\(4, 4, 1\), got \(65535, 65535, 1\)"):
        read_series(path)
