"""Lesions one by one, against a flood fill in plain Python."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice
from scipy import ndimage

from qfae_monai.evaluation.detection import detect
from qfae_monai.evaluation.lesions import SIZE_BANDS, label_lesions, lesion_rows, size_band


def _components(mask: np.ndarray) -> list[set[tuple[int, ...]]]:
    """Flood fill over all neighbours that share a corner."""
    left = {tuple(int(i) for i in place) for place in np.argwhere(mask)}
    found = []
    while left:
        component, edge = set(), [left.pop()]
        while edge:
            place = edge.pop()
            component.add(place)
            for step in product((-1, 0, 1), repeat=mask.ndim):
                neighbour = tuple(i + d for i, d in zip(place, step, strict=True))
                if neighbour in left:
                    left.remove(neighbour)
                    edge.append(neighbour)
        found.append(component)
    return found


@pytest.mark.parametrize("shape", [(16, 16), (8, 8, 8)])
@pytest.mark.parametrize("seed", range(4))
def test_counts_agree_with_brute_force(shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask, values = rng.random(shape) > 0.94, rng.random(shape)
    labels, count = label_lesions(mask)
    lesions, called = _components(mask), _components(values > 0.93)
    found = detect(values, labels, 0.93)
    assert count == len(lesions)
    assert found.found["any"].sum() == sum(any(lesion & other for other in called) for lesion in lesions)
    assert found.false_positives["any"] == sum(not any(other & lesion for lesion in lesions) for other in called)
    expected = compute_dice(torch.tensor(values > 0.93)[None, None], torch.tensor(mask)[None, None])
    assert found.dice == float(expected)
    rows = lesion_rows(labels, values, 0.93, 2.5)
    assert sorted(row.voxels for row in rows) == sorted(map(len, lesions))
    assert [bool(row.found) for row in rows] == found.found["any"].tolist()
    assert [row.mm3 for row in rows] == [2.5 * row.voxels for row in rows]
    assert sorted(row.peak for row in rows) == sorted(max(values[place] for place in lesion) for lesion in lesions)


def test_a_normal_case_has_false_positives_but_no_dice() -> None:
    values = np.zeros((9, 9))
    values[1, 1] = values[2, 2] = values[7, 7] = 1  # the first two share a corner
    labels, _ = label_lesions(np.zeros((9, 9)))
    found = detect(values, labels, 0.5)
    assert np.isnan(found.dice)
    assert (len(found.found["any"]), found.false_positives["any"]) == (0, 2)
    assert lesion_rows(labels, values, 0.5) == []
    assert detect(values, labels, 1.0).false_positives["any"] == 0  # strictly above


def test_without_threshold_or_voxel_size_these_are_unknown() -> None:
    labels, _ = label_lesions(np.eye(3))
    (row,) = lesion_rows(labels, np.arange(9.0).reshape(3, 3))
    assert (row.lesion, row.voxels, row.mm3, row.peak, row.mean, row.found) == (1, 3, None, 8.0, 4.0, None)


def test_size_bands_hold_their_lower_edge() -> None:
    assert size_band([0, 99.9, 100, 1e4, 1e9], "volume").tolist() == [0, 0, 1, 3, 3]
    assert all(np.all(np.diff(edges) > 0) for edges in SIZE_BANDS.values())


def test_refuses_a_mask_on_another_grid() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(4, 4\) and \(5, 4\)"):
        detect(np.zeros((4, 4)), np.zeros((5, 4), np.int32), 0.5)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("shape", [(9, 8, 7), (30, 20), (1, 1, 5), (3, 4, 1), (0, 4, 4)])
def test_lesions_are_numbered_as_in_the_whole_mask(shape: tuple[int, ...], share: float) -> None:
    mask = np.random.default_rng(0).random(shape) < share
    mask[:2] = False
    expected, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    labels, found = label_lesions(mask)
    np.testing.assert_array_equal(labels, expected)
    assert (found, labels.dtype) == (count, np.int32)


def test_peaks_and_means_are_those_of_the_whole_volume() -> None:
    rng = np.random.default_rng(0)
    labels, count = label_lesions(rng.random((12, 13, 14)) > 0.9)
    values = rng.random(labels.shape).astype(np.float32)
    numbers = range(1, count + 1)
    found = lesion_rows(labels, values.transpose(2, 0, 1).transpose(1, 2, 0))
    assert [row.peak for row in found] == [float(peak) for peak in ndimage.maximum(values, labels, numbers)]
    assert [row.mean for row in found] == [float(mean) for mean in ndimage.mean(values, labels, numbers)]
