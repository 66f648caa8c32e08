from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from qfae_monai.evaluation.pictures import choose_slices, save_pictures
from qfae_monai.evaluation.sprites import Picture

TILE = 16


def volume(shape: tuple[int, ...] = (16, 16, 6)) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def saved(folder: Path, image: NDArray, **changes: Any) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """The sprite as (rows, columns, tile, tile, RGB) and what is noted beside it."""
    count = 1 if image.ndim == 2 else image.shape[changes.get("axis", 2)]
    settings = {
        "reconstruction": image,
        "anomaly_map": image,
        "label": np.zeros(image.shape),
        "scores": np.arange(count),
        "tile": TILE,
        **changes,
    }
    path = save_pictures(folder, "case", image, **settings)
    facts = json.loads((folder / "case.json").read_text())
    sprite = np.asarray(Image.open(path)).astype(int)
    tiles = sprite.reshape(4, TILE, len(facts["slices"]), TILE, 3).swapaxes(1, 2)
    return tiles, facts


@pytest.mark.parametrize(
    ("axis", "place", "quarter"),
    [  # in RAS index 0 is left, posterior, inferior; the picture's quarters are (top, left)
        (2, (15, 15, 3), (True, True)),  # right, anterior: top left of an axial slice
        (2, (0, 15, 3), (True, False)),
        (1, (15, 3, 0), (False, True)),  # right, inferior: bottom left of a coronal slice
        (0, (3, 15, 15), (True, True)),  # anterior, superior: top left of a sagittal slice
    ],
)
def test_volumes_are_shown_as_radiologists_see_them(
    tmp_path: Path, axis: int, place: tuple[int, int, int], quarter: tuple[bool, bool]
) -> None:
    image = np.zeros((16, 16, 16), np.float32)
    corner = tuple(at if at == 3 else slice(max(at - 5, 0), at + 6) for at in place)
    image[corner] = 1
    tiles, facts = saved(tmp_path, image, axis=axis)
    bright = tiles[0, facts["slices"].index(3)].mean(-1)
    top, left = (mean > 0.5 for mean in np.array(np.nonzero(bright > 128)).mean(1) < TILE / 2)
    assert (top, left) == quarter


def test_an_image_is_shown_as_it_is(tmp_path: Path) -> None:
    image = np.zeros((16, 16), np.float32)
    image[:8, :8] = 1  # top left
    tiles, facts = saved(tmp_path, image, scores=2.5)
    assert tiles[0, 0, 4, 4, 0] > 200
    assert tiles[0, 0, 12, 4, 0] < 50
    assert facts == {
        "slices": [0],
        "scores": [2.5],
        "tile": TILE,
        "rows": ["input", "reconstruction", "anomaly map", "mask"],
        "map_limit": 1.0,
    }


def test_the_sides_ratio_is_kept(tmp_path: Path) -> None:
    """16 x 8 voxels of 1 x 1 mm are twice as wide as high; of 1 x 4 mm twice as high as wide."""
    image = np.ones((16, 8, 2), np.float32)
    image[..., 0] = 0  # so that the window is [0, 1]
    for spacing, wide in ((None, True), ((1, 1, 5), True), ((1, 4, 5), False)):
        bright = saved(tmp_path, image, spacing=spacing)[0][0, 1, ..., 0] > 128
        sides = int(bright.any(1).sum()), int(bright.any(0).sum())
        assert sides == ((TILE // 2, TILE) if wide else (TILE, TILE // 2))


def test_the_reconstruction_has_the_inputs_grey_values(tmp_path: Path) -> None:
    image = volume()
    tiles, _ = saved(tmp_path, image, reconstruction=image * 7 - 3)
    assert np.abs(tiles[0] - tiles[1]).max() <= 2
    flat, _ = saved(tmp_path, image, reconstruction=np.ones_like(image))
    assert np.ptp(flat[1]) <= 2


def test_the_limit_sets_the_colours_of_the_map(tmp_path: Path) -> None:
    image = np.ones((16, 16, 1), np.float32)
    whole, facts = saved(tmp_path, image, map_limit=1.0)
    half, _ = saved(tmp_path, image, map_limit=2.0)
    assert facts["map_limit"] == 1.0
    assert np.abs(whole[2, 0, 8, 8] - [252, 255, 164]).max() <= 4  # inferno at 1
    assert np.abs(half[2, 0, 8, 8] - [188, 55, 84]).max() <= 4  # inferno at 0.5


def test_the_lesion_is_outlined_and_no_mask_is_said(tmp_path: Path) -> None:
    image, label = volume(), np.zeros((16, 16, 6))
    label[4:12, 4:12, 2] = 1
    tiles, _ = saved(tmp_path, image, label=label)
    blue = (tiles[3, ..., 2] - tiles[3, ..., 0] > 60).any((1, 2))
    assert blue.tolist() == [False, False, True, False, False, False]
    none, facts = saved(tmp_path, image, label=None)
    assert facts["rows"][3] == "no mask"
    assert none[3].max() <= 2


def test_the_slices_one_asks_for_are_always_shown() -> None:
    scores, lesions = np.full(200, 1.0), np.zeros(200)
    scores[:20] = np.nan
    lesions[100:110] = 5
    scores[37], scores[103], lesions[108] = 9, 0.1, 50
    shown = choose_slices(scores, lesions, max_slices=12)
    assert {37, 103, 108} <= set(shown.tolist())
    assert len(shown) == 12
    assert shown.min() >= 20
    assert np.diff(shown).max() <= 40


def test_without_scores_all_slices_may_be_shown() -> None:
    assert choose_slices(np.full(3, np.nan), None, max_slices=4).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": np.zeros((16, 16, 5))}, "expected arrays of one shape"),
        ({"scores": np.zeros(5)}, "expected one score for each of 6 slices, got 5"),
        ({"max_slices": 3}, "expected max_slices of 4 or more, got 3"),
    ],
)
def test_wrong_input_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, volume(), **changes)
    assert not list(tmp_path.iterdir())


def test_a_case_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    image = volume()
    with pytest.raises(ValueError, match=r"expected a case that can name a file, got '\.\./case'"):
        save_pictures(tmp_path, "../case", image, image, image, None, np.zeros(6))


def test_a_table_that_names_a_picture_outside_of_the_folder_has_none(tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text('{"slices": [0], "tile": 8, "rows": []}')
    (tmp_path / "pictures").mkdir()
    assert Picture.of(tmp_path, "case") is not None
    for case in ("../case", str(tmp_path / "case")):
        assert Picture.of(tmp_path / "pictures", case) is None
