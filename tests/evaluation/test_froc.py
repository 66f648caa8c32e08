"""FROC: MONAI's curve and score on the same detections, over run folders and by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from monai.metrics import compute_froc_curve_data, compute_froc_score

from qfae_monai.evaluation.comparison import compare
from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.froc import MOST_PEAKS, RATES, Froc, candidate_level, kept_peaks
from qfae_monai.evaluation.merging import merge_runs
from qfae_monai.evaluation.page import write_report
from qfae_monai.evaluation.run_folder import RunFolder
from tests.evaluation.run_folder_factory import THRESHOLDS, make_run_folder


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("kind", ["volume", "image"])
def test_curve_and_score_are_those_of_monai(tmp_path: Path, kind: str, calibrated: bool) -> None:
    run = RunFolder(make_run_folder(tmp_path / "run", kind=kind, calibrated=calibrated, signal=0.8))  # type: ignore[arg-type]
    froc = Froc.of(run)
    assert froc is not None
    level = dict(zip(run.volumes["case"].tolist(), run.volumes["candidate_level"].tolist(), strict=True))
    hit = np.array([peak > level[case] for case, peak in zip(run.lesions["case"], run.lesions["peak"], strict=True)])
    true = np.where(hit, run.lesions["peak"].astype(np.float32), 0)  # MONAI's 0 for a lesion that is missed
    # MONAI leaves the lowest threshold out: one below all others
    false = np.concatenate([np.zeros(1, np.float32), *run.pixels.peaks.values()])
    alarms, sensitivity = compute_froc_curve_data(false, true, len(true), len(run.volumes))
    expected = [np.interp(rate, alarms[::-1], sensitivity[::-1]) for rate in RATES]
    ones = np.ones((1, len(run.volumes)))
    assert [froc.mean_sensitivity(ones, [rate])[0] for rate in RATES] == pytest.approx(expected)
    assert froc.mean_sensitivity(ones)[0] == pytest.approx(compute_froc_score(alarms, sensitivity, RATES))
    for point in zip(*froc.curve, strict=True):
        assert np.isclose(np.stack([alarms, sensitivity], -1), point).all(-1).any() or point == (0, 0)


def test_weights_are_cases_drawn_so_often(tmp_path: Path) -> None:
    run = RunFolder(make_run_folder(tmp_path / "run", cases=6, signal=0.8))
    froc = Froc.of(run)
    assert froc is not None
    drawn = [0, 0, 3, 4, 4, 4]
    taken = Froc(froc.patients[drawn], froc.lesions[drawn], froc.thresholds, froc.found[drawn], froc.false[drawn])
    weights = np.bincount(drawn, minlength=6)[None].astype(float)
    for rate in RATES:
        assert froc.mean_sensitivity(weights, [rate]) == taken.mean_sensitivity(np.ones((1, 6)), [rate])


def test_at_the_calibrated_threshold_the_curve_ends_in_its_figures(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", signal=0.6)
    summary = summarise(folder)
    froc = Froc.of(RunFolder(folder))
    assert froc is not None
    ends = [part[0] for part in froc.curve]
    pixel = summary["threshold"]["pixel"]
    assert ends == pytest.approx([pixel["false_positives_per_volume"]["value"], pixel["lesion_sensitivity"]["value"]])
    best = summary["chosen_on_test_set"]["lesion_f1"]
    assert best["calibrated"] == pixel["detection"]["any"]["f1"]["value"]
    assert best["value"] >= best["calibrated"]
    assert best["threshold"] > THRESHOLDS["pixel_threshold"]
    run = RunFolder(folder)
    lesions, false = run.lesions["peak"].astype(np.float32), np.concatenate(list(run.pixels.peaks.values()))
    found, alarms = ((part >= np.float32(best["threshold"])).sum() for part in (lesions, false))
    assert best["value"] == pytest.approx(2 * found / (found + alarms + len(lesions)))


def test_the_best_f1_of_a_perfect_map_has_a_threshold(tmp_path: Path) -> None:
    """Nothing false: the lowest rating of a lesion is as good as no threshold at all."""
    froc = Froc.of(RunFolder(make_run_folder(tmp_path / "run", signal=20)))
    assert froc is not None
    perfect = Froc(froc.patients, froc.lesions, froc.thresholds, froc.found, 0 * froc.false)
    assert perfect.best_f1() == (1, froc.thresholds[1])


def test_the_level_of_a_case_without_calibration() -> None:
    ramp = np.arange(1000, dtype=np.float32)
    assert (ramp > candidate_level(ramp)).sum() == 10
    saturated = np.minimum(ramp, 900)
    assert (saturated > candidate_level(saturated)).sum() == 100  # all that share the highest value
    few = np.where(ramp > 998, 1, 0).astype(np.float32)
    assert (few > candidate_level(few)).sum() == 1  # not the background
    for constant in (0.0, 0.5, -2.0):
        assert not (np.full(9, constant, np.float32) > candidate_level(np.full(9, constant, np.float32))).any()
    assert candidate_level(np.empty((0, 3))) == 0


def test_the_highest_peaks_of_a_case_are_kept_and_its_level_says_so() -> None:
    peaks = np.arange(2 * MOST_PEAKS, 0, -1).astype(np.float32)
    kept, level = kept_peaks(peaks, 0.5)
    assert (len(kept), level) == (MOST_PEAKS, MOST_PEAKS)
    assert kept_peaks(peaks[:5], 0.5)[1] == 0.5
    assert not len(kept_peaks(np.ones(2 * MOST_PEAKS, np.float32), 0.5)[0])  # equal ones cannot be told apart


@pytest.mark.parametrize("settings", [{"masks": False}, {"abnormal": 0}, {"signal": 0.0}])
def test_without_masks_or_lesions_there_is_a_report_all_the_same(tmp_path: Path, settings: dict) -> None:
    froc = summarise(make_run_folder(tmp_path / "run", **settings))["froc"]
    assert (froc is None) == ("masks" in settings)
    assert froc is None or (froc["score"]["value"] is None) == ("abnormal" in settings)


def test_tables_of_an_older_run_say_nothing_of_it(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    make_older(folder)
    summary = summarise(folder)
    assert summary["froc"] is None
    assert list(summary["threshold"]["pixel"]["detection"]) == ["any"]
    assert summary["threshold"]["pixel"]["surface"] is None
    assert summary["chosen_on_test_set"]["lesion_f1"]["value"] is None


def make_older(folder: Path) -> None:
    """Take the columns and arrays away that were added with these figures."""
    for name in ("volumes", "lesions"):
        file = folder / f"{name}.csv"
        with file.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        added = ("_overlap10", "_iou10", "_iou50", "surface_distance", "hausdorff95", "surface_dice", "candidate_level")
        header = [column for column in rows[0] if not column.endswith(added)]
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, header, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    with np.load(folder / "pixels.npz") as archive:
        kept = {key: archive[key] for key in archive.files if not key.startswith("peak_") and not key.endswith("bits")}
    np.savez_compressed(folder / "pixels.npz", **kept)


def test_older_runs_are_compared_and_merged(tmp_path: Path) -> None:
    older, newer = (make_run_folder(tmp_path / name, cases=4, model=model) for model, name in enumerate(("a", "b")))
    make_older(older)
    metrics = compare(older, newer)["metrics"]
    assert metrics["pixel"]["auroc"]["difference"]["value"] is not None
    other = make_run_folder(tmp_path / "c", cases=4, first=4)
    summary = summarise(merge_runs([older, other], tmp_path / "merged", name="both"))
    assert summary["froc"] is None  # of half the cases would pass for all
    assert summary["chosen_on_test_set"]["dice_of_all_pixels"]["value"] > 0
    assert write_report(tmp_path / "merged").is_file()
    merged = merge_runs([newer, other], tmp_path / "both", name="both")
    assert summarise(merged)["froc"]["volumes"] == 8


def test_arrays_that_belong_together_are_asked_for(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=4)
    with np.load(folder / "pixels.npz") as archive:
        kept = {key: archive[key] for key in archive.files if key != "peak_offsets"}
    np.savez(folder / "pixels.npz", **kept)
    with pytest.raises(ValueError, match=r"pixels\.npz.*missing peak_offsets"):
        summarise(folder)
