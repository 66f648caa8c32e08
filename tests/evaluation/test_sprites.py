from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from qfae_monai.evaluation.sprites import Picture, picture_limits


def test_a_montage_shows_the_column_of_its_slice(pictures: dict[str, Picture]) -> None:
    encoded = pictures["a"].column_uri(4).removeprefix("data:image/jpeg;base64,")
    column = np.asarray(Image.open(BytesIO(b64decode(encoded))))
    assert column.shape == (16, 8)
    assert np.abs(column.astype(int) - 160).max() <= 2


def test_the_limits_of_the_maps(pictures: dict[str, Picture]) -> None:
    assert picture_limits(list(pictures.values())) == (1, 3)
    assert picture_limits([]) is None


def test_a_case_without_a_picture_has_none(tmp_path: Path) -> None:
    assert Picture.of(tmp_path, "a") is None
