"""A run folder summarised: figures are scikit-learn's on the tables; what is undefined is said, the rest stands."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from qfae_monai.evaluation.detection import RULES, of_rule
from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.histogram import MapHistogram
from qfae_monai.evaluation.histogram_file import PixelHistograms
from qfae_monai.evaluation.page import write_report
from tests.evaluation.run_folder_factory import THRESHOLDS, make_run_folder, training_record

QUICK = 50
"""Resamples."""


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run_folder(tmp_path_factory.mktemp("runs") / "volumes", unlabelled=1)


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    return summarise(folder, match_tolerance=0.05)


@pytest.mark.parametrize("level", ["slice", "volume"])
def test_figures_are_those_of_the_tables(folder: Path, summary: dict[str, Any], level: str) -> None:
    rows = [row for row in _rows(folder / f"{level}s.csv") if row["label"]]
    labels, scores = ([float(row[name]) for row in rows] for name in ("label", "score"))
    found = summary["metrics"][level]
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert found["average_precision"]["value"] == pytest.approx(average_precision_score(labels, scores), abs=1e-9)
    assert "sensitivity_at_95_specificity" in found
    for interval in found.values():
        assert interval["reason"] or interval["low"] <= interval["value"] <= interval["high"]
    assert not found["auroc"]["reason"]


def test_what_went_wrong_in_training_is_said_first(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    content = json.loads((folder / "run.json").read_text())
    record = training_record(["Anomaly maps are constant"])
    (folder / "run.json").write_text(json.dumps({**content, "training": record}))
    assert summarise(folder)["warnings"][0] == "Training: Anomaly maps are constant."


def test_counts(folder: Path, summary: dict[str, Any]) -> None:
    volumes, lesions = _rows(folder / "volumes.csv"), _rows(folder / "lesions.csv")
    counts = summary["counts"]
    assert (counts["cases"], counts["normal_cases"], counts["abnormal_cases"], counts["unlabelled_cases"]) == (
        12,
        5,
        6,
        1,
    )
    assert counts["patients"] == len({row["patient"] for row in volumes}) == 9
    assert (counts["slices"], counts["empty"], counts["outside"], counts["lesions"]) == (120, 12, 12, len(lesions))
    assert "1 of 12 cases have no label and are left out." in summary["warnings"]


def test_at_the_thresholds(folder: Path, summary: dict[str, Any]) -> None:
    rows = [row for row in _rows(folder / "volumes.csv") if row["label"]]
    found = summary["threshold"]
    called = {
        kind: [float(row["score"]) > THRESHOLDS["volume_threshold"] for row in rows if row["label"] == kind]
        for kind in ("0", "1")
    }
    assert found["volume"]["achieved_fpr"] == np.mean(called["0"])
    assert found["volume"]["sensitivity"] == np.mean(called["1"])
    assert found["volume"]["n"] == 5
    dice = [float(row["dice"]) for row in rows if row["dice"]]
    assert found["pixel"]["dice"]["value"] == pytest.approx(np.mean(dice), abs=1e-9)
    lesions = _rows(folder / "lesions.csv")
    sensitivity = sum(row["found"] == "1" for row in lesions) / len(lesions)
    assert found["pixel"]["lesion_sensitivity"]["value"] == pytest.approx(sensitivity, abs=1e-9)
    alarms = [int(row["false_positives"]) for row in rows]
    assert found["pixel"]["false_positives_per_volume"]["value"] == pytest.approx(np.mean(alarms), abs=1e-9)
    assert sum(band["lesions"] for band in summary["size_bands"]) == len(lesions)
    assert "made up for tests" in summary["warnings"]


def test_shortcuts_are_held_against_the_model(folder: Path, summary: dict[str, Any]) -> None:
    """The phantoms' lesions are bright: the maximum alone finds them, and that is said; a constant never rivals."""
    rows = {(row["level"], row["feature"]): row for row in summary["shortcuts"]}
    labelled = [row for row in _rows(folder / "slices.csv") if row["label"]]
    expected = roc_auc_score([int(row["label"]) for row in labelled], [float(row["trivial_max"]) for row in labelled])
    maximum = rows["slice", "trivial_max"]
    assert maximum["auroc"] == pytest.approx(expected, abs=1e-9)
    assert maximum["rivals"]
    model = summary["metrics"]["slice"]["auroc"]["value"]
    assert maximum["difference"]["value"] == pytest.approx(model - maximum["separability"])
    assert any("Shortcut" in text and "largest intensity" in text for text in summary["warnings"])
    assert rows["volume", "channels"]["separability"] == 0.5
    assert not rows["volume", "channels"]["rivals"]
    assert {"position", "distance_to_middle", "rival_neighbours"} <= {name for level, name in rows if level == "slice"}
    assert {"file_size", "matrix_size", "scored"} <= {name for level, name in rows if level == "volume"}
    assert "image" in summary["maps_rivals"]


def test_a_low_feature_separates_as_well_as_a_high_one(tmp_path: Path) -> None:
    """Turning the feature around turns its AUROC and leaves what it separates."""
    before = summarise(make_run_folder(tmp_path / "run"))
    file = tmp_path / "run" / "slices.csv"
    lines = [line.split(",") for line in file.read_text().splitlines()]
    column = lines[0].index("trivial_max")
    for line in lines[1:]:
        line[column] = f"-{line[column]}"
    file.write_text("\n".join(map(",".join, lines)) + "\n")
    after = summarise(tmp_path / "run")
    one, other = (
        next(row for row in found["shortcuts"] if (row["feature"], row["level"]) == ("trivial_max", "slice"))
        for found in (before, after)
    )
    assert one["auroc"] == pytest.approx(1 - other["auroc"])
    assert one["difference"] == pytest.approx(other["difference"])


def test_matched_controls(summary: dict[str, Any]) -> None:
    matched = summary["matched"]
    assert matched["pairs"] + matched["unmatched"] == summary["counts"]["abnormal_slices"]
    assert 0.5 < matched["slice"]["auroc"]["value"] <= 1


def test_file_is_what_was_returned_and_the_same_again(folder: Path, summary: dict[str, Any]) -> None:
    first = (folder / "evaluation.json").read_text()
    assert json.loads(first) == summary
    summarise(folder, match_tolerance=0.05)
    assert (folder / "evaluation.json").read_text() == first


def test_images_have_one_level(tmp_path: Path) -> None:
    summary = summarise(make_run_folder(tmp_path / "run", kind="image"), match_tolerance=0.05)
    assert set(summary["metrics"]) == {"image", "pixel"}
    assert summary["matched"] is None
    assert summary["threshold"]["image"]["n"] == 6
    assert {row["level"] for row in summary["shortcuts"]} == {"image"}
    assert {"file_size", "trivial_mean"} <= {row["feature"] for row in summary["shortcuts"]}
    assert summary["size_bands"][0]["unit"] == "pixels"
    assert summary["size_bands"][0]["slice_auroc"] == summary["metrics"]["image"]["auroc"]["value"]  # all are small


# [arguments of the folder, levels that are undefined, a warning]
LESS: list[list[Any]] = [
    [{"abnormal": 0}, {"slice", "volume", "pixel"}, "got 120 normal and 0 abnormal"],
    [{"abnormal": 12}, {"volume"}, "got 0 normal and 12 abnormal"],
    [{"masks": False}, {"pixel"}, "no case has a mask"],
    [{"unlabelled": 12}, {"slice", "volume", "pixel"}, "12 of 12 cases have no label"],
    [{"calibrated": False, "baselines": False}, set(), "No calibration"],
    [{"kind": "image", "abnormal": 0}, {"image", "pixel"}, "got 12 normal and 0 abnormal"],
    [{"kind": "image", "masks": False, "calibrated": False}, {"pixel"}, "no case has a mask"],
]


@pytest.mark.parametrize(("arguments", "undefined", "warning"), LESS)
def test_what_is_undefined_is_said_and_the_rest_stands(
    tmp_path: Path, arguments: dict[str, Any], undefined: set[str], warning: str
) -> None:
    summary = summarise(make_run_folder(tmp_path / "run", **arguments))
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text()) == summary
    assert any(warning in text for text in summary["warnings"])
    assert {name for name, found in summary["metrics"].items() if found["auroc"]["value"] is None} == undefined
    if arguments == {"abnormal": 0}:
        assert summary["threshold"]["pixel"]["false_positives_per_volume"]["value"] > 0
        assert summary["shortcuts"] == []


@pytest.mark.parametrize(
    ("abnormal", "said"), [(7, "5 with such images"), (6, "4 with such images"), (14, ""), (0, "")]
)
def test_few_patients_in_a_class_are_told(tmp_path: Path, abnormal: int, said: str) -> None:
    """Five have an interval, though a wide one, and four have none: with 21 patients in all, either is told."""
    folder = make_run_folder(tmp_path / "run", kind="image", cases=28, abnormal=abnormal)
    assert json.loads((folder / "run.json").read_text())["data"]["patients"] == 21
    summary = summarise(folder)
    told = [sentence for sentence in summary["warnings"] if sentence.startswith("Few patients in the smaller class")]
    assert len(told) == bool(said)
    assert all(f"{said}, expected at least 10" in sentence for sentence in told)
    assert any("undefined: expected normal and abnormal images" in one for one in summary["warnings"]) == (not abnormal)


def test_one_patient_has_figures_but_no_intervals(tmp_path: Path) -> None:
    summary = summarise(make_run_folder(tmp_path / "run", cases=2))  # two cases of one patient
    assert summary["metrics"]["slice"]["auroc"]["value"] is not None
    assert summary["metrics"]["slice"]["auroc"]["low"] is None
    assert any("1 patient in the smaller class: no method holds below 5" in text for text in summary["warnings"])


def test_detections_are_those_of_the_tables(folder: Path, summary: dict[str, Any]) -> None:
    rows = [row for row in _rows(folder / "volumes.csv") if row["mask"] == "1"]
    found = summary["threshold"]["pixel"]["detection"]
    assert list(found) == list(RULES)
    lesions = sum(int(row["lesions"]) for row in rows)
    for rule, figures in found.items():
        hits, false = (
            sum(int(row[of_rule(name, rule)]) for row in rows) for name in ("lesions_found", "false_positives")
        )
        assert hits == sum(int(row[of_rule("found", rule)]) for row in _rows(folder / "lesions.csv"))
        assert figures["sensitivity"]["value"] == pytest.approx(hits / lesions)
        assert figures["false_positives_per_volume"]["value"] == pytest.approx(false / len(rows))
        patients = len({row["patient"] for row in rows})
        assert figures["false_positives_per_patient"]["value"] == pytest.approx(false / patients)
        assert figures["f1"]["value"] == pytest.approx(2 * hits / (hits + lesions + false))
    pixel = summary["threshold"]["pixel"]
    assert found["any"]["sensitivity"] == pixel["lesion_sensitivity"]
    assert found["any"]["false_positives_per_volume"] == pixel["false_positives_per_volume"]
    known = [row for row in rows if row["surface_distance"]]
    for name in ("surface_distance", "hausdorff95"):
        mean = sum(float(row[name]) for row in known) / len(known)
        assert pixel["surface"][name]["value"] == pytest.approx(mean)
    missed = [row for row in rows if row["surface_dice"] and not row["surface_distance"]]
    assert (pixel["surface"]["cases"], pixel["surface"]["undefined"]) == (len(known) + len(missed), len(missed))


def test_what_the_labels_chose_stands_beside_the_calibrated(folder: Path, summary: dict[str, Any]) -> None:
    chosen = summary["chosen_on_test_set"]
    for figure in chosen.values():
        assert figure["value"] >= figure["calibrated"]
    pixels = PixelHistograms.load(folder / "pixels.npz").maps["anomaly_map"]
    assert chosen["dice_of_all_pixels"]["value"] == pixels.best_dice()[0]
    assert chosen["dice_of_each_case"]["calibrated"] == summary["threshold"]["pixel"]["dice"]["value"]


@pytest.mark.parametrize("settings", [{"calibrated": False}, {"masks": False}, {"abnormal": 0}, {"kind": "image"}])
def test_lesion_figures_are_null_where_they_are_unknown(tmp_path: Path, settings: dict[str, Any]) -> None:
    folder = make_run_folder(tmp_path / "run", **settings)
    summary = summarise(folder)
    write_report(folder)
    chosen = summary["chosen_on_test_set"]
    assert (chosen is None) == ("masks" in settings)
    if "calibrated" in settings:
        assert {figure["calibrated"] for figure in chosen.values()} == {None}
        assert summary["froc"]["score"]["value"] > 0  # candidates are each case's highest values
    if "abnormal" in settings:
        assert {figure["value"] for figure in chosen.values()} == {None}
        assert summary["threshold"]["pixel"]["detection"]["any"]["sensitivity"]["value"] is None
    if "kind" in settings:
        assert summary["threshold"]["pixel"]["surface"] is None


def test_maps_that_fill_few_bins_are_warned_of(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    assert not any("few bins" in sentence for sentence in summarise(folder)["warnings"])
    found = PixelHistograms.load(folder / "pixels.npz")
    coarse = MapHistogram.merge([found.maps["anomaly_map"].coarser(11)])
    finer = replace(coarse, bins=coarse.bins << 9, bits=20)  # the same pixels in a few of 20 bits
    PixelHistograms({**found.maps, "anomaly_map": finer}, found.cases).save(folder / "pixels.npz")
    (sentence,) = [one for one in summarise(folder)["warnings"] if "few bins" in one]
    low, high = finer.average_precision_bounds()
    assert f"{low:.3f} or {high:.3f}" in sentence
