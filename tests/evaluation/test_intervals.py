"""Intervals over patients: published examples, coverage by simulation, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from qfae_monai.evaluation.at_threshold import at_threshold
from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.estimates import Estimate, average, mean, rate
from qfae_monai.evaluation.histogram import COARSE_BITS, MapHistogram
from qfae_monai.evaluation.intervals import newcombe_limits, wilson_limits
from qfae_monai.evaluation.jackknife import FEWEST, MOST_UNITS, Jackknife, Sample
from qfae_monai.evaluation.levels import Level
from qfae_monai.evaluation.weighted import Array, WeightedMaps, WeightedRanking, weighted_ratio


def level_of(scores: NDArray, labels: NDArray, patients: NDArray, name: str = "slice") -> Level:
    columns = {"score": np.asarray(scores, float), "label": np.asarray(labels, float)}
    texts = np.asarray(patients).astype(np.str_)
    return Level(name, Table({"case": texts, "patient": texts, **columns}), 0.95)


def slices(rng: np.random.Generator, patients: int, shift: float) -> Level:
    """Ten slices each, half of them abnormal; patients differ as much as slices do."""
    place = np.repeat(np.arange(patients), 10)
    labels = np.tile([0, 1], 5 * patients)
    return level_of(rng.normal(size=patients)[place] + rng.normal(size=10 * patients) + shift * labels, labels, place)


def test_wilson_is_the_published_one() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 and 0 of 20."""
    assert wilson_limits(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_limits(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_newcombe_solves_its_equation(value: float) -> None:
    """|value - limit| = z sqrt(V(limit)) at both ends that lie inside, V after Hanley and McNeil."""
    low, high = newcombe_limits(value, 12, 8)
    assert low <= value <= high
    for limit in {low, high} - {0.0, 1.0}:
        variance = limit * (1 - limit) * (1 + 9 * ((1 - limit) / (2 - limit) + limit / (1 + limit))) / (12 * 8)
        assert abs(value - limit) == pytest.approx(1.959964 * variance**0.5, rel=1e-5)
    assert (low == 0, high == 1) == (value == 0, value == 1)


def test_coverage_of_the_area_of_few_patients() -> None:
    """10 and 10 images at an AUROC of 0.76: the percentile bootstrap holds it in 88 %; and slices of 6 patients."""
    rng = np.random.default_rng(0)
    labels, held = np.repeat([0, 1], 10), []
    for _ in range(300):
        found = level_of(rng.normal(size=20) + labels, labels, np.arange(20), "image").intervals()["auroc"]
        held.append(found.low <= 0.7602 <= found.high)
    assert 0.91 < np.mean(held) < 0.99  # three standard errors around 0.95
    of_slices = [slices(rng, 6, 1.0).intervals()["auroc"] for _ in range(200)]
    held = [found.low <= 0.6915 <= found.high for found in of_slices]  # one patient's slice against another's
    assert 0.90 < np.mean(held) <= 1


def test_coverage_with_dependent_rows() -> None:
    """Patients differ by 0.1, their 10 rows by 0.01: over patients intervals hold the mean, over rows far fewer do."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(30), 10)
    covered = {"patients": 0, "rows": 0}
    for _ in range(400):
        values = np.clip(0.5 + 0.1 * rng.normal(size=30)[patients] + 0.01 * rng.normal(size=300), 0, 1)
        for unit, owners in (("patients", patients), ("rows", np.arange(300))):
            found = mean(owners, values).interval()
            covered[unit] += found.low <= 0.5 <= found.high
    assert 0.92 < covered["patients"] / 400 < 0.98  # 3 standard errors of 1.1 %
    assert covered["rows"] / 400 < 0.7


def test_a_patient_is_left_out_with_all_rows() -> None:
    seen = []

    def keep(weights: Array) -> Array:
        seen.append(weights)
        return weights.sum(axis=1)

    Jackknife.of(Sample(["b", "a", "b", "c", "a"]), keep)
    np.testing.assert_array_equal(seen[0], [[1, 0, 1, 1, 0], [0, 1, 0, 1, 1], [1, 1, 1, 0, 1]])


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).random(9)
    estimate = mean(np.arange(9), values)
    assert estimate.jackknife.variance == pytest.approx(values.var(ddof=1) / 9)
    assert estimate.value == values.mean()


def test_of_many_patients_groups_are_left_out() -> None:
    values = np.random.default_rng(0).random(5000)
    sample = Sample(np.arange(5000))
    assert sample.units == MOST_UNITS
    assert mean(np.arange(5000), values).jackknife.variance == pytest.approx(values.var(ddof=1) / 5000, rel=0.3)
    kinds = Sample(np.arange(900), np.stack([np.arange(900) < 880, np.arange(900) >= 880], axis=1))
    assert sorted(np.unique(kinds.kinds, return_counts=True)[1].tolist()) == [20, 380]  # rare ones one by one


FEW = [
    (np.arange(8), [0, 0, 0, 0, 1, 1, 1, 1], "4 patients in the smaller class"),
    (["a"] * 8, [0, 1] * 4, "1 patient in the smaller class"),
    (np.arange(8), [0] * 8, "the figure is undefined"),
    ([0] * 40 + list(range(1, 6)) + list(range(6, 12)), [1] * 45 + [0] * 6, "of equal size"),
]


@pytest.mark.parametrize(("patients", "labels", "reason"), FEW)
def test_no_interval_without_a_method(patients: NDArray, labels: list[int], reason: str) -> None:
    scores = np.random.default_rng(0).random(len(labels))
    for found in level_of(scores, np.array(labels), np.asarray(patients)).intervals().values():
        assert np.isnan([found.low, found.high]).all()
        assert reason in found.reason
    assert FEWEST == 5


def test_the_smaller_class_is_told() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([1] * 6 + [0] * 20)
    found = level_of(rng.random(26), labels, np.arange(26), "image").intervals()
    assert {interval.smaller_class for interval in found.values()} == {6}
    assert not found["auroc"].reason
    assert "20 normal images" in found["sensitivity_at_95_specificity"].reason  # its threshold is a single score


def test_limits_stay_in_range_and_hold_the_value() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 2.0, 20.0):  # up to an AUROC of 1
        for found in slices(rng, 8, shift).intervals().values():
            assert 0 <= found.low <= found.value <= found.high <= 1
    assert rate(np.arange(6), [0] * 6).interval().low == 0
    amount = mean(np.arange(6), [0, 0, 0, 0, 0, 3.0], amount=True).interval()
    assert 0 < amount.low < 0.5 < amount.high
    assert "an amount of 0" in mean(np.arange(6), np.zeros(6), amount=True).interval().reason


SAME = {  # scores by label: no patient differs from the others of its class
    "constant": lambda labels: 0 * labels,
    "binary": lambda labels: labels,
    "turned around": lambda labels: -labels,
    "perfect": lambda labels: 10 * labels + np.arange(len(labels)) / len(labels),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("slices", [1, 4])
def test_patients_who_agree_leave_an_interval_of_some_width(name: str, slices: int) -> None:
    labels = np.repeat(np.repeat([0.0, 1.0], [30, 6]), slices)
    found = level_of(SAME[name](labels), labels, np.repeat(np.arange(36), slices), "image").intervals()
    for interval in found.values():
        assert not interval.reason
        assert 0 <= interval.low <= interval.value + 1e-9
        assert interval.value - 1e-9 <= interval.high <= 1
        assert interval.high - interval.low > 0.05


def test_the_same_amount_of_every_patient_has_no_interval() -> None:
    assert "the same amount" in mean(np.arange(6), np.full(6, 2.0), amount=True).interval().reason


def test_separation_is_of_normal_scores_with_ties() -> None:
    scores, labels = np.array([3.0, 1, 1, 2, 5, 5]), np.array([0.0, 0, 1, 1, 0, 1])
    normal = ndtri((rankdata(scores) - 0.5) / 6)
    separation = WeightedRanking(scores, labels).separation
    expected = normal[labels == 1].mean() - normal[labels == 0].mean()
    assert separation(np.ones((1, 6)))[0] == pytest.approx(expected)
    np.testing.assert_allclose(separation.variances, [normal[labels == k].var() for k in (0, 1)])
    pixels = [MapHistogram.of(scores[None, None], labels[None, None].astype(int), COARSE_BITS)]
    assert WeightedMaps(pixels).separation(np.ones((1, 1)))[0] == pytest.approx(expected)


def test_the_average_of_seeds_has_an_interval_of_its_own() -> None:
    rng = np.random.default_rng(0)
    first, second = slices(rng, 8, 1.0), slices(rng, 8, 1.0)
    both = average([first.estimates["auroc"], second.estimates["auroc"]])
    assert both.value == pytest.approx((first.measures["auroc"] + second.measures["auroc"]) / 2)
    alone = first.estimates["auroc"]
    assert average([alone]).interval() == alone.interval()
    with pytest.raises(ValueError, match="every seed"):
        average([alone, slices(rng, 9, 1.0).estimates["auroc"]])


def test_memory_for_weightings_does_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((16, 16), int)
    labels[4:8, 4:8] = 1
    rng = np.random.default_rng(0)
    maps = WeightedMaps([MapHistogram.of(rng.random(labels.shape), labels, COARSE_BITS) for _ in range(6)])
    before = Estimate(0.5, Sample(np.arange(6)), maps.aupro).interval()
    for module in ("jackknife", "weighted"):
        monkeypatch.setattr(f"qfae_monai.evaluation.{module}.CHUNK", 35)
    assert Estimate(0.5, Sample(np.arange(6)), maps.aupro).interval() == before


def test_achieved_rates_have_wilsons_interval_or_the_patients() -> None:
    scores, labels = [*range(20), 1, 18, 19, 25, 26], [0] * 20 + [1] * 5
    found = at_threshold(scores, labels, 17)
    assert (found.false_positive_rate.value, found.normals, found.sensitivity.value) == (0.1, 20, 0.8)
    assert (found.false_positive_rate.low, found.false_positive_rate.high) == wilson_limits(2, 20)
    assert np.isnan(at_threshold([1.0], [1], 0).false_positive_rate.value)
    clustered = at_threshold([*range(20)] * 2, [0] * 40, 17, np.tile(np.arange(20), 2)).false_positive_rate
    assert clustered.high > wilson_limits(4, 40)[1]  # each slice twice: no more is known
    assert clustered.smaller_class == 20


def test_a_score_that_is_the_threshold_is_not_above_it() -> None:
    """0.3 as float32 is 0.30000001192...; a table's nine digits are read as 0.300000012, which is more."""
    assert at_threshold([0.300000012], [0], float(np.float32(0.3))).false_positive_rate.value == 0


def test_ratios_without_a_whole_are_undefined() -> None:
    assert np.isnan(weighted_ratio([1, 2], [0, 0])(np.ones((1, 2)))).all()
    assert np.isnan(rate([], []).interval().value)
