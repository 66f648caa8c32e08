"""Both readings of an evaluation, on tables whose figures can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qfae_monai.experiments.released import format_readings, two_readings
from qfae_monai.experiments.seed_run import read_scores

LABELS = np.array([0, 0, 0, 1, 1])
SCORES = np.array([0.1, 0.2, 0.5, 0.4, 0.9])
"""Of six pairs of a normal and an abnormal image, five are in order: AUROC 5/6."""


def test_every_image_counts() -> None:
    readings = two_readings(LABELS, SCORES, batch=5)
    assert readings["every_image"] == {"images": 5, "image_auroc": pytest.approx(500 / 6)}
    assert readings["released"]["image_auroc"] == pytest.approx(500 / 6)  # one full batch: nothing is dropped


def test_released_reading_drops_the_last_batch() -> None:
    released = two_readings(LABELS, SCORES, batch=4)["released"]
    assert released["images"] == 4
    # Without one image AUROC is 1 (without 0.5), 3/4 (0.1 or 0.2), 1 (0.4) or 2/3 (0.9).
    assert released["low"] == pytest.approx(200 / 3)
    assert released["high"] == pytest.approx(100)
    assert any(released["image_auroc"] == pytest.approx(value) for value in (100, 75, 200 / 3))


def test_released_reading_caps_before_it_batches() -> None:
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 2, 300))
    scores = rng.random(300) + labels / 4
    readings = two_readings(labels, scores, cap=200, batch=64, orders=20)
    assert (readings["released"]["images"], readings["every_image"]["images"]) == (192, 300)  # 200 // 64 * 64
    assert readings["released"]["low"] < readings["every_image"]["image_auroc"] < readings["released"]["high"]
    assert readings == two_readings(labels, scores, cap=200, batch=64, orders=20)


def test_too_few_images_for_a_batch_leave_the_released_reading_undefined() -> None:
    readings = two_readings(LABELS, SCORES)
    assert readings["released"] == {"images": 0, "image_auroc": None, "low": None, "high": None}
    text = format_readings({"dataset": "resc", "published": None, **readings})
    assert "not defined" in text
    assert "83.33" in text


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="5 images of one class"):
        two_readings(np.zeros(5, int), SCORES)


def test_scores_are_ordered_by_label_and_case(tmp_path: Path) -> None:
    path = tmp_path / "slices.csv"
    path.write_text("case,slice,score,label\nb,0,0.4,1\nc,0,0.1,0\na,0,0.3,1\n")
    labels, scores = read_scores(path)
    assert (labels.tolist(), scores.tolist()) == ([0, 1, 1], [0.1, 0.3, 0.4])
    path.write_text("case,slice,score,label\nb,0,0.4,\n")
    with pytest.raises(ValueError, match="1 without: b"):
        read_scores(path)
    path.write_text("case,slice,score,label\nb,0,nan,1\n")
    with pytest.raises(ValueError, match="finite"):
        read_scores(path)
