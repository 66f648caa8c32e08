"""Image files: what goes in comes out, and nothing is cut off without a word."""

from __future__ import annotations

import numpy as np
import pytest

from qfae_monai.recipes.images import decode, encode, encode_mask, output_folder

UNIT = np.linspace(0, 1, 35).reshape(5, 7)


@pytest.mark.parametrize(("form", "step"), [("png8", 1 / 255), ("png16", 1 / 65535), ("npy", 1e-7)])
def test_round_trip(form: str, step: float) -> None:
    assert np.abs(decode(encode(UNIT, form), form) - UNIT).max() <= step / 2 + 1e-7


def test_8_bit_images_stay_as_they_are() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(np.rint(decode(encode(image, "png8"), "png8") * 255), image)
    with pytest.raises(ValueError, match="more than 8 bits for png16, got uint8"):
        encode(image, "png16")


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan])
def test_values_outside_of_the_unit_range_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"):
        encode(np.array([[0.5, value]]), "png8")


def test_masks_and_folders() -> None:
    mask = UNIT > 0.5
    assert np.array_equal(decode(encode_mask(mask, "png8"), "png8") > 0.5, mask)
    assert np.array_equal(decode(encode_mask(mask, "npy"), "npy"), mask)
    assert output_folder("test", True, mask=True) == "test/Ungood/label"
    assert output_folder("valid", False) == "valid/good/img"
    with pytest.raises(ValueError, match="normal slices to train on"):
        output_folder("train", True)
