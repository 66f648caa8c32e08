"""Histograms of a map: scikit-learn for ranking, a loop over thresholds and regions for AUPRO, by hand for ties."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from qfae_monai.evaluation.histogram import COARSE_BITS, MapHistogram, alike, ordered_bins
from qfae_monai.evaluation.histogram_file import PixelHistograms
from qfae_monai.evaluation.weighted import WeightedMaps


def _map(seed: int, sign: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A map (20, 20) whose values need few bits (so that bins lose nothing), and its regions."""
    rng = np.random.default_rng(seed)
    labels = ndimage.label(rng.random((20, 20)) > 0.8, structure=np.ones((3, 3)))[0]
    values = sign * np.round(8 * (rng.random((20, 20)) + 0.4 * (labels > 0))) / 8
    return values.astype(np.float32), labels


def _aupro(maps: list[tuple[np.ndarray, np.ndarray]], max_fpr: float) -> float:
    """Bergmann et al. 2021, section 5.2, word by word: a loop over thresholds, one over images and one over regions."""
    points = [(0.0, 0.0)]
    for threshold in sorted({float(v) for values, _ in maps for v in values.ravel()}, reverse=True):
        alarms = normals = 0
        overlaps = []
        for values, labels in maps:
            called = values >= threshold
            alarms += int((called & (labels == 0)).sum())
            normals += int((labels == 0).sum())
            overlaps += [float(called[labels == region].mean()) for region in range(1, labels.max() + 1)]
        points.append((alarms / normals, sum(overlaps) / len(overlaps)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= max_fpr or x1 == x0:
            continue
        end = min(x1, max_fpr)
        area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / max_fpr


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_ranking_agrees_with_scikit_learn(seed: int, sign: float) -> None:
    values, labels = _map(seed, sign)
    histogram = MapHistogram.of(values, labels)
    truth, ranks = (labels > 0).ravel(), values.ravel()
    assert histogram.auroc() == pytest.approx(roc_auc_score(truth, ranks), abs=1e-9)
    assert histogram.average_precision() == pytest.approx(average_precision_score(truth, ranks), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_fpr", [0.05, 0.3, 1.0])
def test_aupro_agrees_with_brute_force(seed: int, max_fpr: float) -> None:
    maps = [_map(seed), _map(seed + 100)]
    merged = MapHistogram.merge([MapHistogram.of(*pair) for pair in maps])
    assert merged.aupro(max_fpr) == pytest.approx(_aupro(maps, max_fpr), abs=1e-9)


def test_aupro_of_a_perfect_map_is_one_and_small_regions_count_as_much() -> None:
    labels = np.zeros((10, 10), int)
    labels[0, 0], labels[5:, 5:] = 1, 2
    assert MapHistogram.of((labels > 0) * 1.0, labels).aupro() == pytest.approx(1, abs=1e-12)
    assert MapHistogram.of((labels == 1) * 1.0, labels).aupro(1.0) == pytest.approx(0.75)  # from 1/2 straight to 1


@pytest.mark.parametrize("seed", range(3))
def test_resamples_equal_repeated_cases(seed: int) -> None:
    """Drawing a case twice is the same as having it twice."""
    cases = [MapHistogram.of(*_map(seed + i), bits=COARSE_BITS) for i in range(3)]
    many, weights = WeightedMaps(cases), np.array([[1, 1, 1], [2, 0, 1]])
    for row, drawn in enumerate([[0, 1, 2], [0, 0, 2]]):
        merged = MapHistogram.merge([cases[i] for i in drawn])
        found = [many.auroc(weights)[row], many.average_precision(weights)[row], many.aupro(weights)[row]]
        assert found == pytest.approx([merged.auroc(), merged.average_precision(), merged.aupro()], abs=1e-9)


def test_bins_keep_the_order_of_floats() -> None:
    values = np.array([-1e30, -2.0, -1.0, -1e-30, 0.0, 1e-40, 1e-30, 1.0, 1.01, 2.0, 1e30], np.float32)
    bins = ordered_bins(values)
    assert (np.diff(bins) >= 0).all()
    assert bins.min() >= 0
    assert bins.max() < 2**20
    assert ordered_bins(np.float32(-0.0)) == ordered_bins(np.float32(0.0))
    assert ordered_bins(1.0) == ordered_bins(1.0 + 1e-5) != ordered_bins(1.001)


def test_coarser_is_what_fewer_bits_would_have_counted() -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(30, 30)), rng.integers(0, 3, (30, 30))
    coarse, expected = MapHistogram.of(values, labels).coarser(12), MapHistogram.of(values, labels, bits=12)
    for name in ("bins", "normal", "lesion", "region", "regions", "bits"):
        np.testing.assert_allclose(getattr(coarse, name), getattr(expected, name))
    with pytest.raises(ValueError, match="at most the 12 bits"):
        coarse.coarser(20)


def test_one_kind_of_pixel_only_is_undefined() -> None:
    values = np.random.default_rng(0).random((4, 4))
    for labels in (np.zeros((4, 4), int), np.ones((4, 4), int)):
        histogram = MapHistogram.of(values, labels)
        assert np.isnan([histogram.auroc(), histogram.average_precision(), histogram.aupro()]).all()
    assert np.isnan(MapHistogram.merge([]).aupro())


def test_refuses_nan_and_other_shapes() -> None:
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        MapHistogram.of([0.0, np.nan], [0, 1])
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(3,\)"):
        MapHistogram.of([0.0, 1.0], [0, 1, 1])


def test_false_positive_rate_counts_strictly_above() -> None:
    histogram = MapHistogram.of([0.0, 1.0, 2.0, 3.0, 9.0], [0, 0, 0, 0, 1])
    assert histogram.false_positive_rate(2.0) == 0.25
    assert histogram.false_positive_rate(-1.0) == 1


@pytest.mark.parametrize("count", [0, 3])
def test_file_gives_back_what_was_saved(tmp_path: Path, count: int) -> None:
    cases = {f"c{i}": MapHistogram.of(*_map(i), bits=COARSE_BITS) for i in range(count)}
    maps = {"anomaly_map": MapHistogram.merge([MapHistogram.of(*_map(i)) for i in range(count)])}
    PixelHistograms(maps, cases).save(tmp_path / "pixels.npz")
    loaded = PixelHistograms.load(tmp_path / "pixels.npz")
    assert list(loaded.cases) == sorted(cases)
    for name, histogram in {**cases, **maps}.items():
        found = {**loaded.cases, **loaded.maps}[name]
        for key in ("bins", "normal", "lesion", "region", "regions", "bits"):
            np.testing.assert_array_equal(getattr(found, key), getattr(histogram, key))


@pytest.mark.parametrize("bits", [10, COARSE_BITS, 20, 24])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_counting_gives_what_sorting_gave(bits: int, axes: tuple[int, ...]) -> None:
    """To the last bit, in whatever order the pixels lie: sizes of regions are no powers of two."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 9, 11)).astype(np.float32).round(1).transpose(axes)
    labels = (rng.integers(0, 4, values.shape) * (rng.random(values.shape) < 0.3)).astype(np.int32)
    labels[2] = 0
    bins, place = np.unique(ordered_bins(values, bits).ravel(), return_inverse=True)
    inside = labels.ravel() > 0
    weights = 1 / np.bincount(labels[labels > 0])[labels.ravel()[inside]]
    found = MapHistogram.of(values, labels, bits)
    np.testing.assert_array_equal(found.bins, bins)
    np.testing.assert_array_equal(found.normal, np.bincount(place[~inside], minlength=len(bins)))
    np.testing.assert_array_equal(found.lesion, np.bincount(place[inside], minlength=len(bins)))
    np.testing.assert_array_equal(found.region, np.bincount(place[inside], weights=weights, minlength=len(bins)))
    assert (found.bins.dtype, found.normal.dtype, found.regions) == (np.int32, np.int64, 3)


@pytest.mark.parametrize("labels", [np.zeros((2, 3), bool), np.eye(2, 3, dtype=bool), np.eye(2, 3)])
def test_a_mask_of_any_type_is_counted(labels: np.ndarray) -> None:
    found = MapHistogram.of(np.arange(6.0).reshape(2, 3), labels)
    assert (int(found.lesion.sum()), found.region.sum(), found.regions) == (labels.sum(), labels.any(), labels.any())
    assert not len(MapHistogram.of(np.empty((0, 3)), np.empty((0, 3))).bins)


def _narrow(seed: int, offset: float = 0.0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A map whose bulk is small beside its tail, as anomaly maps are, and lesions of 300 pixels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((60, 60), np.int32)
    labels[10:25, 10:30] = 1
    values = rng.gamma(1.0, 0.003, labels.shape) + 0.01 * rng.random(labels.shape) * (labels > 0)
    return (scale * values.astype(np.float32) + np.float32(offset)), labels


@pytest.mark.parametrize("offset", [0.1, 0.5, 1.0, 5.0, 50.0, -0.5, -5.0])
def test_an_offset_leaves_the_figures_as_they_are(offset: float) -> None:
    """With 20 bits an offset of 5 would make an average precision of 0.44 one of 0.16."""
    maps = [_narrow(seed, offset) for seed in range(4)]
    merged = MapHistogram.merge([MapHistogram.fitted(*pair) for pair in maps])
    cases = MapHistogram.merge(alike([MapHistogram.fitted(*pair).fitting(COARSE_BITS) for pair in maps]))
    scores, truth = (np.stack(parts).ravel() for parts in zip(*maps, strict=True))
    exact = average_precision_score(truth > 0, scores)
    assert merged.average_precision() == pytest.approx(exact, abs=2e-3)
    assert cases.average_precision() == pytest.approx(exact, abs=2e-2)
    assert len(merged.bins) <= 4 * 2**16
    low, high = merged.average_precision_bounds()
    assert low - 1e-9 <= merged.average_precision() <= high + 1e-9


def test_ordinary_maps_keep_their_bins() -> None:
    for values, labels in (_narrow(0), _narrow(0, scale=100.0), _narrow(0, offset=0.0005)):
        found, expected = MapHistogram.fitted(values, labels), MapHistogram.of(values, labels)
        assert (found.bits, found.fitting(COARSE_BITS).bits) == (20, COARSE_BITS)
        np.testing.assert_array_equal(found.bins, expected.bins)
        np.testing.assert_array_equal(found.region, expected.region)


def test_merging_takes_the_fewest_bits_in_any_order() -> None:
    parts = [MapHistogram.fitted(*pair) for pair in (_narrow(0, 0.5), _narrow(1), _narrow(2, 5.0))]
    assert len({part.bits for part in parts}) > 1
    whole = MapHistogram.merge(parts)
    for order in ([2, 0, 1], [1, 2, 0]):
        again = MapHistogram.merge([MapHistogram.merge([parts[i] for i in order[:2]]), parts[order[2]]])
        for name in ("bins", "normal", "lesion", "regions", "bits"):
            np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert whole.bits == 20
    nothing = MapHistogram.merge([])
    assert MapHistogram.merge([nothing, parts[0]]).bits == parts[0].bits


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0, 1e4])
def test_a_map_of_few_values_takes_no_bits_from_others(value: float) -> None:
    labels = np.zeros((60, 60), np.int32)
    few = np.full(labels.shape, value, np.float32)
    constant = MapHistogram.fitted(few, labels)
    few[:2, :2] = value + 1
    offset = MapHistogram.fitted(*_narrow(0, 0.5))
    for other in (constant, MapHistogram.fitted(few, labels)):
        assert MapHistogram.merge([other, offset]).bits == offset.bits > 20
    assert len(constant.bins) == 1
    assert constant.normal.sum() == few.size


def test_values_of_double_precision_are_those_of_single() -> None:
    values, labels = _narrow(0)
    far = values.astype(np.float64) + 1e4
    np.testing.assert_array_equal(
        MapHistogram.fitted(far, labels).bins, MapHistogram.fitted(far.astype(np.float32), labels).bins
    )
    low, high = MapHistogram.fitted(far, labels).average_precision_bounds()
    assert high - low > 0.1  # what single precision made equal is said


def test_bounds_of_average_precision_rank_ties_both_ways() -> None:
    values, truth = np.array([1, 2, 2, 2, 2, 3, 3, 0, 0]), np.array([0, 1, 0, 1, 0, 0, 1, 1, 0])
    histogram = MapHistogram.of(values, truth)
    parted = (values != 0) * (0.1 * truth)  # zeros stay tied
    order = (values != 0) * np.arange(9) * 1e-6  # of pixels of one kind: any
    expected = [average_precision_score(truth, values + sign * parted + order) for sign in (-1, 1)]
    assert histogram.average_precision_bounds() == pytest.approx(expected, abs=1e-12)
    assert all(np.isnan(MapHistogram.of(values, 0 * truth).average_precision_bounds()))


@pytest.mark.parametrize("offset", [0.0, 0.5, -1.0])
def test_best_dice_is_the_largest_of_all_thresholds(offset: float) -> None:
    values, labels = _narrow(3, offset)
    histogram = MapHistogram.fitted(values, labels)
    bins = ordered_bins(values, histogram.bits)
    every = [2 * ((bins > b) & (labels > 0)).sum() / ((bins > b).sum() + (labels > 0).sum()) for b in np.unique(bins)]
    best, threshold = histogram.best_dice()
    assert best == pytest.approx(max(every), abs=1e-12)
    assert histogram.dice(threshold) == best
    called = values > threshold
    assert 2 * (called & (labels > 0)).sum() / (called.sum() + (labels > 0).sum()) == pytest.approx(best, abs=1e-12)
    assert np.isnan(MapHistogram.of(values, 0 * labels).best_dice()[0])


def test_file_keeps_bits_and_peaks_and_older_files_are_read(tmp_path: Path) -> None:
    fine = MapHistogram.fitted(*_narrow(0, 0.5))
    peaks = {"a": np.array([0.9, 0.8], np.float32), "b": np.empty(0, np.float32)}
    cases = {"a": fine.fitting(COARSE_BITS), "b": MapHistogram.of(*_map(1), bits=COARSE_BITS)}
    PixelHistograms({"anomaly_map": fine}, cases, peaks=peaks).save(tmp_path / "pixels.npz")
    loaded = PixelHistograms.load(tmp_path / "pixels.npz")
    assert loaded.maps["anomaly_map"].bits == fine.bits > 20
    for name, case in cases.items():
        assert loaded.cases[name].bits == case.bits
        np.testing.assert_array_equal(loaded.peaks[name], peaks[name])
    with np.load(tmp_path / "pixels.npz") as archive:
        older = {key: archive[key] for key in archive.files if "bits" not in key and not key.startswith("peak")}
    np.savez(tmp_path / "older.npz", **older)
    assert PixelHistograms.load(tmp_path / "older.npz").peaks == {}
    assert {case.bits for case in PixelHistograms.load(tmp_path / "older.npz").cases.values()} == {COARSE_BITS}
    with pytest.raises(ValueError, match="expected 20 bits or more, got 16"):
        PixelHistograms({"anomaly_map": cases["b"]}).save(tmp_path / "pixels.npz")


@pytest.mark.parametrize("bits", [COARSE_BITS, 20, 31])
def test_the_threshold_of_the_best_dice_gives_it(bits: int) -> None:
    """Also where the best mask is the whole map, of zeros: -0.0 would not be below them."""
    values = np.array([0, 0, 0, -1], np.float32)
    histogram = MapHistogram.of(values, np.array([1, 1, 0, 0]), bits)
    best, threshold = histogram.best_dice()
    assert (best, histogram.dice(threshold)) == pytest.approx((0.8, 0.8))
    assert (values > threshold).tolist() == [True, True, True, False]
