"""Intervals over patients: coverage by simulation, whole patients, pairs, and where there is no interval."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import beta

from qfae_monai.evaluation.at_threshold import at_threshold
from qfae_monai.evaluation.histogram import COARSE_BITS, MapHistogram
from qfae_monai.evaluation.intervals import (
    ResampledMaps,
    ResampledRanking,
    bootstrap,
    draw_patients,
    paired_difference,
    weighted_ratio,
)


def test_coverage_with_dependent_rows() -> None:
    """Patients differ by 1, their 10 rows by 0.1: over patients 95 % intervals hold the mean 0, over rows far fewer do.

    The percentile interval of a mean of 30 is a little narrow: 1.96 * sqrt(29 / 30) normal, for Student's 2.05: 93.5 %.
    """
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(30), 10)
    covered = {"patients": 0, "rows": 0}
    for trial in range(400):
        values = rng.normal(size=30)[patients] + 0.1 * rng.normal(size=300)
        for unit, owners in (("patients", patients), ("rows", np.arange(300))):
            found = bootstrap(owners, weighted_ratio(values, np.ones(300)), samples=200, seed=trial)
            covered[unit] += found.low <= 0 <= found.high
    assert 0.90 < covered["patients"] / 400 < 0.98  # 3 standard errors of 1.2 %
    assert covered["rows"] / 400 < 0.7


def test_patients_are_drawn_as_wholes() -> None:
    seen = []

    def keep(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return weights.sum(axis=1)

    bootstrap(["b", "a", "b", "c", "a"], keep, samples=50)
    weights = seen[0]
    assert weights.shape == (50, 5)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_draws_are_those_of_the_seed_and_uniform() -> None:
    drawn = draw_patients(5, 4000, np.random.default_rng(1))
    assert (drawn.sum(axis=1) == 5).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.08)  # 5 standard errors
    np.testing.assert_array_equal(drawn, draw_patients(5, 4000, np.random.default_rng(1)))


def test_paired_difference_is_narrower_than_the_runs() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=40)
    first, second = (
        weighted_ratio(values, np.ones(40)) for values in (shared, shared + 0.1 + 0.05 * rng.normal(size=40))
    )
    patients = np.arange(40)
    alone, pair = bootstrap(patients, first), paired_difference(patients, first, second)
    assert pair.value == pytest.approx(0.1, abs=0.03)
    assert pair.high - pair.low < 0.2 * (alone.high - alone.low)
    assert pair.p == pytest.approx(2 / 1001)  # no resample on the other side
    same = paired_difference(patients, first, first)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_undefined_resamples_are_left_out_and_counted() -> None:
    """One abnormal patient of three is missing from a resample with probability (2/3)**3 = 0.296."""
    ranking = ResampledRanking([3.0, 1.0, 2.0], [1, 0, 0])
    found = bootstrap(["a", "b", "c"], ranking.auroc, samples=4000)
    assert found.undefined == pytest.approx(8 / 27 + 1 / 27, abs=0.03)  # or all three draws are the abnormal one
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_one_patient_or_one_class_has_no_interval() -> None:
    one = bootstrap(["a", "a"], ResampledRanking([1.0, 2.0], [0, 1]).auroc)
    assert one.value == 1
    assert np.isnan([one.low, one.high]).all()
    assert one.undefined == 1
    none = bootstrap(["a", "b"], ResampledRanking([1.0, 2.0], [1, 1]).auroc)
    assert np.isnan([none.value, none.low, none.high]).all()
    assert np.isnan(paired_difference(["a", "a"], weighted_ratio([1, 2], [1, 1]), weighted_ratio([2, 2], [1, 1])).p)
    empty = bootstrap([], ResampledRanking([], []).auroc)
    assert np.isnan(empty.value)


def test_memory_for_resamples_does_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((16, 16), int)
    labels[4:8, 4:8] = 1
    rng = np.random.default_rng(0)
    maps = ResampledMaps([MapHistogram.of(rng.random(labels.shape), labels, COARSE_BITS) for _ in range(5)])
    before = bootstrap(range(5), maps.aupro, samples=100)
    monkeypatch.setattr("qfae_monai.evaluation.intervals.CHUNK", 35)
    assert bootstrap(range(5), maps.aupro, samples=100) == before


def test_a_draw_that_comes_again_is_what_it_was() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((6, 6), np.int32)
    labels[1:3, 2:4], labels[5, 5] = 1, 2
    maps = ResampledMaps([MapHistogram.of(rng.random(labels.shape), labels, COARSE_BITS) for _ in range(3)])
    weights = rng.integers(0, 2, (50, 3)).astype(np.float64)  # 8 draws
    for measure in (maps.auroc, maps.average_precision, maps.aupro):
        expected = np.concatenate([measure(row[None]) for row in weights])
        np.testing.assert_allclose(measure(weights), expected, rtol=1e-12)  # a row alone is summed in another order


def test_refuses_a_level_outside_of_its_range() -> None:
    with pytest.raises(ValueError, match="level in"):
        bootstrap(["a", "b"], weighted_ratio([1, 2], [1, 1]), level=95)


def test_pixel_intervals_of_40_patients_take_seconds() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64, 8), int)
    labels[20:30, 20:30, 2:5] = 1
    cases = [MapHistogram.of(rng.gamma(2, size=labels.shape) + labels, labels, COARSE_BITS) for _ in range(40)]
    maps, start = ResampledMaps(cases), time.monotonic()
    found = [bootstrap(np.arange(40), measure) for measure in (maps.auroc, maps.average_precision, maps.aupro)]
    assert time.monotonic() - start < 10  # about 1 s a measure when the machine is free
    assert all(interval.low < interval.value < interval.high for interval in found)


def test_achieved_rate_with_its_exact_interval() -> None:
    """Clopper and Pearson: quantiles of beta distributions; 2 of 20 normals lie above, and 3 of 4 abnormal."""
    scores, labels = [*range(20), 1, 18, 19, 25], [0] * 20 + [1] * 4
    found = at_threshold(scores, labels, 17)
    assert (found.false_positive_rate, found.normals, found.sensitivity) == (0.1, 20, 0.75)
    assert (found.low, found.high) == pytest.approx((beta.ppf(0.025, 2, 19), beta.ppf(0.975, 3, 18)))
    assert np.isnan(at_threshold([1.0], [1], 0).false_positive_rate)


def test_a_score_that_is_the_threshold_is_not_above_it() -> None:
    """0.3 as float32 is 0.30000001192...; a table's nine digits are read as 0.300000012, which is more."""
    assert at_threshold([0.300000012], [0], float(np.float32(0.3))).false_positive_rate == 0
