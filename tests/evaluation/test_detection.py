"""Rules of detection: the counts of panoptica and cc3d on 20 random volumes, and small masks whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from qfae_monai.evaluation.detection import RULES, detect
from qfae_monai.evaluation.lesions import label_lesions

# Printed by panoptica 2.1.7 and connected-components-3d 3.29.0 (pip install panoptica==2.1.7) for `_volume(seed)`:
# cc3d.connected_components of both masks for "any", and for the others tp, fp and global_bin_dsc of
# Panoptica_Evaluator(expected_input=InputType.SEMANTIC,
#     instance_approximator=ConnectedComponentsInstanceApproximator(),
#     instance_matcher=NaiveThresholdMatching(matching_metric=Metric.IOU, matching_threshold=0.1 or 0.5),
#     instance_metrics=[Metric.IOU], global_metrics=[Metric.DSC]).evaluate(called, mask)
# Lesions; found and false positives of any, IoU 0.1 and IoU 0.5; Dice.
PANOPTICA = [
    (5, (5, 23), (5, 23), (1, 27), 0.44816053511705684),
    (4, (3, 29), (3, 29), (0, 32), 0.46923076923076923),
    (5, (4, 18), (4, 20), (1, 23), 0.4321223709369025),
    (5, (5, 26), (5, 26), (2, 29), 0.5811138014527845),
    (4, (4, 29), (4, 30), (1, 33), 0.4381443298969072),
    (6, (6, 10), (6, 10), (1, 15), 0.6178343949044586),
    (3, (3, 24), (2, 24), (0, 26), 0.5647263249348393),
    (6, (6, 25), (5, 26), (1, 30), 0.5482123510292525),
    (6, (6, 27), (5, 27), (0, 32), 0.5861678004535147),
    (3, (3, 22), (2, 27), (0, 29), 0.3014705882352941),
    (5, (4, 30), (4, 31), (1, 34), 0.48987108655616945),
    (3, (3, 24), (2, 25), (0, 27), 0.39330543933054396),
    (5, (5, 30), (5, 30), (3, 32), 0.6474313863476425),
    (4, (4, 22), (3, 24), (0, 27), 0.4607773851590106),
    (3, (3, 31), (3, 31), (0, 34), 0.41818181818181815),
    (7, (7, 22), (7, 23), (2, 28), 0.5465288035450517),
    (2, (2, 16), (2, 16), (0, 18), 0.5635276532137519),
    (6, (6, 29), (4, 32), (0, 36), 0.27976190476190477),
    (5, (5, 24), (5, 24), (2, 27), 0.5646836638338055),
    (5, (5, 35), (5, 35), (0, 40), 0.3476764199655766),
]


def _volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Balls, and a map that hits, misses, splits and joins them: mask and thresholded map, (20, 22, 18)."""
    rng = np.random.default_rng(seed)
    places = np.indices((20, 22, 18))
    mask, hot = np.zeros(places.shape[1:], bool), np.zeros(places.shape[1:], bool)
    for _ in range(rng.integers(3, 9)):
        centre, radius = rng.uniform(0, 20, (3, 1, 1, 1)), rng.uniform(1.5, 4)
        mask |= ((places - centre) ** 2).sum(0) < radius**2
        moved = centre + rng.normal(0, radius / 5, (3, 1, 1, 1))
        ball = ((places - moved) ** 2).sum(0) < (radius * rng.uniform(0.5, 1.3)) ** 2
        hot |= ball & (rng.random(mask.shape) < rng.uniform(0.3, 1))
    return mask, hot | (rng.random(mask.shape) < 0.004)


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_an_independent_package(seed: int) -> None:
    lesions, touched, iou10, iou50, dice = PANOPTICA[seed]
    mask, called = _volume(seed)
    labels, count = label_lesions(mask)
    found = detect(called * 1.0, labels, 0.5)
    assert count == lesions
    for rule, expected in (("any", touched), ("iou10", iou10), ("iou50", iou50)):
        assert (found.found[rule].sum(), found.false_positives[rule]) == expected
    assert found.dice == pytest.approx(dice, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_ten_percent_counts_voxels_whichever_detection_they_are_of(seed: int) -> None:
    mask, called = _volume(seed)
    called &= np.random.default_rng(seed).random(called.shape) < 0.25
    labels, count = label_lesions(mask)
    parts, _ = label_lesions(called)
    found = detect(called * 1.0, labels, 0.5)
    share = np.array([called[labels == number].mean() for number in range(1, count + 1)])
    assert 0 < found.found["overlap10"].sum() < count
    assert found.found["overlap10"].tolist() == (share >= 0.1).tolist()
    true = {int(part) for number in np.flatnonzero(share >= 0.1) + 1 for part in np.unique(parts[labels == number])}
    assert found.false_positives["overlap10"] == parts.max() - len(true - {0})


def _detect(lesions: str, called: str) -> tuple[dict[str, int], dict[str, int]]:
    """Of one row of pixels, `#` inside."""
    mask, above = (np.array([[letter == "#" for letter in row]]) for row in (lesions, called))
    found = detect(above * 1.0, label_lesions(mask)[0], 0.5)
    return {rule: int(hit.sum()) for rule, hit in found.found.items()}, found.false_positives


@pytest.mark.parametrize(
    ("lesions", "called", "found", "false"),
    [
        # one detection over two lesions: both are touched, one has a partner (IoU 4 / 9, then 3 / 10)
        ("####..###.", "#########.", (2, 2, 1, 0), (0, 0, 0, 1)),
        # two detections in one lesion: the larger is its partner (5 / 10), the other is false by IoU
        ("##########", "#####..##.", (1, 1, 1, 1), (0, 0, 1, 1)),
        # one voxel of eleven touches it, and most of the detection lies beside it
        ("###########.......", "..........########", (1, 0, 0, 0), (0, 1, 1, 1)),
        # exactly 10 % of the lesion, an IoU of exactly 0.1
        ("##########", "#.........", (1, 1, 1, 0), (0, 0, 0, 1)),
        ("..........", "##......#.", (0, 0, 0, 0), (2, 2, 2, 2)),
        ("##......#.", "..........", (0, 0, 0, 0), (0, 0, 0, 0)),
        # two pairs of one IoU (2 / 6): the first lesion keeps the detection
        ("##..##", "######", (2, 2, 1, 0), (0, 0, 0, 1)),
    ],
)
def test_several_under_one_and_one_over_several(
    lesions: str, called: str, found: tuple[int, ...], false: tuple[int, ...]
) -> None:
    assert _detect(lesions, called) == (dict(zip(RULES, found, strict=True)), dict(zip(RULES, false, strict=True)))


def test_false_peaks_are_of_detections_beside_lesions() -> None:
    values = np.array([[0.9, 0.9, 0.0, 0.6, 0.7, 0.0, 0.8, 0.0, 0.2]])
    labels, _ = label_lesions(np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0]]))
    np.testing.assert_array_equal(detect(values, labels, 0.5).false_peaks, np.array([0.8, 0.7], np.float32))
    assert detect(np.zeros((0, 4)), np.zeros((0, 4), np.int32), 0.5).false_peaks.tolist() == []


def test_negative_maps_and_whole_numbers_are_thresholded_as_they_are() -> None:
    labels, _ = label_lesions(np.eye(4)[:, :1])
    found = detect(np.array([[-1], [-5], [-1], [-5]]), labels, -3)
    assert (found.found["any"].tolist(), found.false_positives["any"]) == ([True], 1)
    assert found.false_peaks.tolist() == [-1.0]
