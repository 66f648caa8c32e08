"""Near-duplicates: every change that leaves a scan what it is is seen through, and no two different ones are taken."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from qfae_monai.data.near_duplicates import Pair, clusters, near_duplicates, turned
from qfae_monai.data.scan_picture import SIDE, scan_picture
from tests.data.textures import head, texture

Change = Callable[[NDArray[Any]], NDArray[Any]]


def jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=40)
    return np.asarray(Image.open(content))


def marked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    found = image.copy()
    found[4:12, 5:25] = 255
    found[80:86, 60:75] = 255
    return found


IMAGE_CHANGES: dict[str, Change] = {
    "none": lambda image: image,
    "as JPEG": jpeg,
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "another shape": lambda image: cv2.resize(image, (150, 120)),
    "cropped": lambda image: image[2:-2, 1:-2],
    "darker, less contrast": lambda image: (0.6 * image + 20).astype(np.uint8),
    "gamma": lambda image: (255 * (image / 255) ** 1.5).astype(np.uint8),
    "flipped": lambda image: image[:, ::-1],
    "turned": np.rot90,
    "burned-in marks": marked,
    "16 bits": lambda image: image.astype(np.uint16) * 16,
    "noise": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 5, image.shape), 0, 255),
}
VOLUME_CHANGES: dict[str, Change] = {
    "flipped": lambda volume: volume[::-1, :, ::-1],
    "cropped": lambda volume: volume[1:-1, 1:, :-1],
    "another grid": lambda volume: volume[:, ::2],
    "noise": lambda volume: volume + np.random.default_rng(0).normal(0, 2, volume.shape),
    "gamma": lambda volume: (volume / 355) ** 1.5,
}


@pytest.mark.parametrize("change", IMAGE_CHANGES.values(), ids=IMAGE_CHANGES)
def test_a_changed_copy_of_an_image_is_found_among_others(change: Change) -> None:
    pictures = [scan_picture(texture(seed)) for seed in range(12)]
    pairs = near_duplicates([*pictures, scan_picture(change(texture(3)))])
    assert [pair[:2] for pair in pairs] == [(3, 12)]
    assert 0.95 < pairs[0].correlation <= 1.001


@pytest.mark.parametrize("change", VOLUME_CHANGES.values(), ids=VOLUME_CHANGES)
def test_a_changed_copy_of_a_volume_is_found_among_others(change: Change) -> None:
    pictures = [scan_picture(head(seed), np.eye(4)) for seed in range(6)]
    pairs = near_duplicates([*pictures, scan_picture(change(head(2)), np.eye(4))])
    assert [pair[:2] for pair in pairs] == [(2, 6)]


def test_the_axes_of_a_volume_in_its_file_do_not_matter() -> None:
    volume = head(0)
    turned_affine = np.array([[0, 0, -1.0, 40], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    stored = np.ascontiguousarray(volume.transpose(1, 2, 0)[:, :, ::-1])
    assert np.array_equal(scan_picture(stored, turned_affine), scan_picture(volume, np.eye(4)))


def test_scans_of_one_shape_and_brightness_alone_are_none() -> None:
    """All chests have two lungs: what is alike at large scale does not count."""
    rows, columns = np.mgrid[-1:1:96j, -1:1:80j]
    chest = 150 * np.exp(-4 * ((np.abs(columns) - 0.4) ** 2 + rows**2 / 2))
    pictures = [scan_picture(chest + 0.15 * texture(seed)) for seed in range(20)]
    assert np.corrcoef([chest.ravel() + 0.15 * texture(seed).ravel() for seed in (0, 1)])[0, 1] > 0.95
    assert near_duplicates(pictures) == []


def test_labels_say_which_pairs_count() -> None:
    picture = scan_picture(texture(0))
    patients = ["a", "a", "b"]
    assert [pair[:2] for pair in near_duplicates([picture] * 3, different=[patients])] == [(0, 2), (1, 2)]
    assert [pair[:2] for pair in near_duplicates([picture] * 3, equal=[patients])] == [(0, 1)]
    assert near_duplicates([picture] * 3, different=[patients, ["test", "training", "test"]])[0][:2] == (1, 2)


def test_scans_without_detail_or_picture_match_nothing() -> None:
    flat = scan_picture(np.full((30, 40), 7))
    broken = scan_picture(np.full((30, 40), np.nan))
    one_slice = scan_picture(np.zeros((5, 6, 1)), np.eye(4))
    assert not any(picture.any() for picture in (flat, broken, one_slice))
    assert near_duplicates([flat, flat, broken, broken, None, None, one_slice, one_slice]) == []
    assert near_duplicates([]) == near_duplicates([scan_picture(texture(0))]) == []


def test_volumes_and_images_lie_in_one_list() -> None:
    image, volume = scan_picture(texture(1)), scan_picture(head(1), np.eye(4))
    assert [pair[:2] for pair in near_duplicates([image, volume, None, image, volume])] == [(0, 3), (1, 4)]


def test_blocks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [scan_picture(texture(seed % 7)) for seed in range(20)]
    whole = near_duplicates(pictures)
    monkeypatch.setattr("qfae_monai.data.near_duplicates.BLOCK", 3)
    assert near_duplicates(pictures) == whole
    assert clusters(20, whole).tolist() == [seed % 7 for seed in range(20)]


def test_clusters_join_what_pairs_chain() -> None:
    assert clusters(5, [Pair(0, 3, 1.0), Pair(3, 4, 1.0)]).tolist() == [0, 1, 2, 0, 0]
    assert clusters(2, []).tolist() == [0, 1]


@pytest.mark.parametrize("kind", [1, 3])
def test_eight_orientations_differ_and_keep_their_order(kind: int) -> None:
    pictures = np.random.default_rng(0).normal(size=(2, kind, SIDE, SIDE))
    found = {turned(pictures, turn).tobytes() for turn in range(8)}
    assert len(found) == 8
    assert np.array_equal(turned(pictures, 5)[1], turned(pictures[1], 5))


def test_a_flipped_volume_has_the_flipped_pictures() -> None:
    volume = head(4)
    for turn in range(8):
        flipped = volume[:: 1 - 2 * (turn & 1), :: 1 - 2 * (turn >> 1 & 1), :: 1 - 2 * (turn >> 2 & 1)]
        difference = np.abs(
            turned(scan_picture(volume, np.eye(4)).astype(np.float32), turn) - scan_picture(flipped, np.eye(4))
        )
        assert difference.max() <= 2  # of 127: resizing rounds
