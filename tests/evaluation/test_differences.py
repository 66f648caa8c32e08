"""Differences of figures: permutation over patients, pairs, and groups without a patient in common."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qfae_monai.evaluation.differences import independent_difference, paired_difference
from qfae_monai.evaluation.estimates import Estimate, mean, rate
from qfae_monai.evaluation.jackknife import Sample
from qfae_monai.evaluation.weighted import weighted_ratio
from tests.evaluation.test_intervals import level_of, slices


def test_four_patients_cannot_be_below_an_eighth() -> None:
    """All four in favour: 2 of 16 patterns of signs are as far from 0."""
    first, second = mean(np.arange(4), [0.1, 0.2, 0.3, 0.4]), mean(np.arange(4), [0.5, 0.6, 0.6, 0.9])
    found = paired_difference(first, second)
    assert found.p == 2 / 16
    assert "no method holds below 5" in found.reason


def test_p_counts_patterns_of_signs() -> None:
    """Seven differences, all 128 patterns by hand; the deviations from their mean count as those of a sample."""
    values = np.array([0.3, -0.1, 0.2, 0.05, 0.12, 0.3, -0.02])
    parts = values.mean() + (values - values.mean()) * (7 / 6) ** 0.5
    sums = np.array([abs((np.array(signs) * parts).sum()) for signs in product((1, -1), repeat=7)])
    expected = (sums >= parts.sum() * (1 - 1e-12)).mean()
    assert paired_difference(mean(np.arange(7), np.full(7, 0.5)), mean(np.arange(7), 0.5 + values)).p == expected


def test_rounding_is_no_difference() -> None:
    """Means of the same numbers, added up in another order: they differ by 1e-16."""
    patients, values = np.repeat(np.arange(6), 3), np.random.default_rng(0).random((6, 3))
    found = paired_difference(mean(patients, values.ravel()), mean(patients, values[:, ::-1].ravel()))
    assert found.p == 1
    balanced = 0.5 + np.array([0.1, 0.2, -0.3, 0.1, 0.2, -0.3])
    assert paired_difference(mean(np.arange(6), np.full(6, 0.5)), mean(np.arange(6), balanced)).p == 1


def test_shares_differ_by_one_at_most() -> None:
    found = paired_difference(mean(np.arange(5), [0.0, 0, 0, 0, 1]), mean(np.arange(5), [1.0, 1, 1, 1, 0]))
    assert (found.value, found.high) == (pytest.approx(0.6), 1)


def test_units_of_the_first_run_count() -> None:
    """More patients than units, and another number of them without a lesion pixel that was scored."""
    patients, values = np.arange(500), np.random.default_rng(0).random(500)

    def scored(lesions: int) -> Estimate:
        classes = np.stack([np.ones(500), np.arange(500) < lesions], axis=1)
        return Estimate(values.mean(), Sample(patients, classes), weighted_ratio(values, np.ones(500)))

    found = paired_difference(scored(60), scored(3))
    assert (found.value, found.p) == (0, 1)


def test_pairs_are_narrower_than_the_runs() -> None:
    rng = np.random.default_rng(0)
    shared = 0.4 + 0.1 * rng.random(40)
    first, second = mean(np.arange(40), shared), mean(np.arange(40), shared + 0.1 + 0.005 * rng.normal(size=40))
    alone, pair = first.interval(), paired_difference(first, second)
    assert pair.value == pytest.approx(0.1, abs=0.003)
    assert pair.high - pair.low < 0.2 * (alone.high - alone.low)
    assert pair.p == pytest.approx(1 / 4097)  # none of the random patterns is as far from 0
    assert paired_difference(first, second).p == paired_difference(first, second).p
    same = paired_difference(first, first)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    with pytest.raises(ValueError, match="same slices or cases"):
        paired_difference(first, mean(np.arange(41), np.ones(41)))


def test_false_alarms_are_rare() -> None:
    """Two models that are equally good: p is at most 0.05 in no more than about 5 % of 200 test sets of 6 patients."""
    rng = np.random.default_rng(0)
    found = [
        paired_difference(slices(rng, 6, 1.0).estimates["auroc"], slices(rng, 6, 1.0).estimates["auroc"]).p
        for _ in range(200)
    ]
    assert np.mean(np.array(found) <= 0.05) < 0.095  # three standard errors above


def test_no_test_where_the_threshold_is_one_score() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    first, second = (level_of(rng.random(80) + labels, labels, np.arange(80), "image").estimates for _ in range(2))
    name = "sensitivity_at_95_specificity"
    found = paired_difference(first[name], second[name])
    assert np.isnan([found.p, found.low]).all()
    assert "score of one item" in found.reason
    assert not first[name].interval().reason


def test_groups_of_other_patients() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 873-890, example (a): 56/70 and 48/80, method 10."""
    first, second = (rate(np.arange(count), [1] * hits + [0] * (count - hits)) for count, hits in ((80, 48), (70, 56)))
    found = independent_difference(first, second)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.smaller_class == 70
    assert 0.005 < found.p < 0.02
    at_p = independent_difference(first, second, level=1 - found.p)
    assert at_p.low == pytest.approx(0, abs=1e-6)
    assert independent_difference(first, first).p == 1
    few = independent_difference(first, rate(np.arange(3), [1, 0, 1]))
    assert np.isnan([few.low, few.p]).all()
    assert few.reason
