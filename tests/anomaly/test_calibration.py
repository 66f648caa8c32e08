"""Thresholds and p-values from normal scores alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from qfae_monai.anomaly import Calibration, load_calibration
from qfae_monai.files import sha256_of


def calibration(volumes: Any, **changes: Any) -> Calibration:
    given: dict[str, Any] = {
        "slice_scores": np.sort(np.asarray(volumes, dtype=float)),
        "volume_scores": np.sort(np.asarray(volumes, dtype=float)),
        "pixel_values": np.array([0.1, 0.2, 0.3, 0.4]),
        "pixel_counts": np.array([90, 5, 4, 1]),
        "patients": 3,
        "checkpoint": "0" * 64,
        "settings": {"image_size": 64},
    }
    return Calibration(**{**given, **changes})


def test_threshold_is_the_conformal_quantile() -> None:
    # n = 19, rate 0.1: the ceil(20 * 0.9) = 18th smallest; rate 0.05: the 19th; less cannot be promised
    found = calibration(range(1, 20))
    assert found.threshold("volume", 0.1) == 18
    assert found.threshold("volume", 0.05) == 19
    assert found.threshold("volume", 0.04) is None
    assert found.shortage("volume", 0.05) is None
    assert "at least 24, got 19 of 3 patients" in str(found.shortage("volume", 0.04))


def test_p_values_count_the_normals_that_score_as_high() -> None:
    found = calibration([1, 2, 3, 4])
    np.testing.assert_allclose(found.p_values("slice", [0.5, 3.0, 9.0]), [5 / 5, 3 / 5, 1 / 5])
    assert np.isnan(found.p_values("slice", np.nan))
    assert np.isnan(calibration([1, 2], volume_scores=np.empty(0)).p_values("volume", 3.0))


def test_a_score_above_the_threshold_has_a_p_value_within_the_rate() -> None:
    scores = np.random.default_rng(0).normal(size=99)
    found = calibration(scores)
    for rate in (0.01, 0.05, 0.2):
        threshold = found.threshold("volume", rate)
        assert threshold is not None
        assert found.p_values("volume", np.nextafter(threshold, np.inf)) <= rate < found.p_values("volume", threshold)


def test_pixel_threshold_lets_the_wanted_share_pass() -> None:
    found = calibration([1.0])
    assert found.pixel_threshold(0.05) == 0.2  # 5 of 100 above 0.2
    assert found.pixel_threshold(0.049) == 0.3
    with pytest.raises(ValueError, match="got 1"):
        found.pixel_threshold(1)


def test_rate_holds_on_fresh_normals() -> None:
    # the mean over many calibrations of the achieved rate is floor((n + 1) a) / (n + 1), exactly a = 0.1 for n = 99
    rng = np.random.default_rng(1)
    exceeded = 0
    for _ in range(400):
        threshold = calibration(rng.normal(size=99)).threshold("volume", 0.1)
        assert threshold is not None
        exceeded += int(rng.normal() > threshold)
    interval = binomtest(exceeded, 400).proportion_ci(0.99)
    assert interval.low <= 0.1 <= interval.high


def test_saved_and_loaded(tmp_path: Path) -> None:
    checkpoint, path = tmp_path / "model.pt", tmp_path / "calibration.json"
    checkpoint.write_bytes(b"weights")
    made = calibration([2, 1, 3], checkpoint=sha256_of(checkpoint), settings={"image_size": 64, "score_blocks": (1, 2)})
    made.save(path)
    found = load_calibration(path, checkpoint=checkpoint, settings={"image_size": 64, "score_blocks": [1, 2]})
    assert found is not None
    np.testing.assert_array_equal(found.volume_scores, made.volume_scores)
    np.testing.assert_array_equal(found.pixel_counts, made.pixel_counts)
    assert list(tmp_path.glob(".*")) == []


def test_thresholds_of_another_checkpoint_are_refused(tmp_path: Path) -> None:
    checkpoint, path = tmp_path / "model.pt", tmp_path / "calibration.json"
    checkpoint.write_bytes(b"weights")
    calibration([1, 2], checkpoint=sha256_of(checkpoint)).save(path)
    with pytest.raises(ValueError, match="image_size: 64 then, 224 now"):
        load_calibration(path, checkpoint=checkpoint, settings={"image_size": 224})
    checkpoint.write_bytes(b"trained on")
    with pytest.raises(ValueError, match="another checkpoint"):
        load_calibration(path, checkpoint=checkpoint, settings={"image_size": 64})


def test_missing_and_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert load_calibration(path, checkpoint=path, settings={}) is None
    with pytest.raises(FileNotFoundError, match="`qfae calibrate` writes"):
        load_calibration(path, checkpoint=path, settings={}, required=True)
    path.write_text(json.dumps({"version": 1}))
    with pytest.raises(ValueError, match="expected a calibration"):
        load_calibration(path, checkpoint=path, settings={})
