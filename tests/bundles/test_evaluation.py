"""The bundle's evaluation as a user runs it: thresholds from normals, tables, report, one process or two."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from qfae_monai.data.phantoms import write_phantom_cohort
from qfae_monai.files import LOCK
from tests.bundles.conftest import TINY, run_bundle
from tests.forked import in_two_processes

QUICK: dict[str, Any] = {"slice_range": [9, 13], "save_maps": False, "reference_images": 20}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def model(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings that name the trained model; calibrations land in a copy of it, of this module's own."""
    return {"model_dir": shutil.copytree(trained, tmp_path_factory.mktemp("calibrated") / "model")}


@pytest.fixture(scope="module")
def evaluated(model: dict[str, Any], cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of an evaluation with thresholds; one thread, as torchrun gives each of its processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("evaluated")
    settings = {"dataset_dir": cohort, "output_dir": output, **model, **QUICK}
    run_bundle(*TINY, "evaluate", "calibrate", run_id="calibrating", **settings)
    run_bundle(*TINY, "evaluate", run_id="evaluating", **settings)
    torch.set_num_threads(threads)
    return output


def test_run_folder_is_complete(evaluated: Path, cohort: Path) -> None:
    names = {path.name for path in evaluated.iterdir()}
    assert names == {
        "slices.csv",
        "volumes.csv",
        "lesions.csv",
        "truth.csv",
        "pixels.npz",
        "variation.json",
        "run.json",
        "metrics.csv",
        "pictures",
        "evaluation.json",
        "report.html",
        "tables",
    }
    cases = [entry["case"] for entry in json.loads((cohort / "dataset.json").read_text())["test"]]
    assert [row["case"] for row in rows(evaluated / "volumes.csv")] == cases
    assert {row["slice"] for row in rows(evaluated / "slices.csv")} == {"9", "10", "11", "12", "13"}
    for name in cases:
        assert (evaluated / "pictures" / f"{name}.jpg").is_file()
        assert name in (evaluated / "report.html").read_text()


def test_figures_of_handlers_and_of_the_summary_agree(evaluated: Path) -> None:
    metrics = {row[0]: float(row[1]) for row in csv.reader((evaluated / "metrics.csv").open())}
    found = json.loads((evaluated / "evaluation.json").read_text())["metrics"]
    assert metrics["image_auroc"] == pytest.approx(found["slice"]["auroc"]["value"], abs=1e-9)
    assert metrics["volume_auroc"] == pytest.approx(found["volume"]["auroc"]["value"], abs=1e-9)
    assert metrics["pixel_ap"] == pytest.approx(found["pixel"]["average_precision"]["value"], abs=1e-9)
    assert metrics["pixel_auroc"] == pytest.approx(found["pixel"]["auroc"]["value"], abs=1e-9)


def test_run_record_says_what_was_run_on_what(evaluated: Path) -> None:
    run = json.loads((evaluated / "run.json").read_text())
    assert run["kind"] == "volume"
    assert run["data"]["cases"] == run["data"]["patients"] == 4
    assert run["slices"] == {"scored": 20, "empty": 0, "outside": 4 * 19}
    assert run["calibration"]["patients"] == 2
    assert any("Too few normal volumes" in note for note in run["calibration"]["notes"])
    assert run["calibration"]["volume_threshold"] is None


def test_thresholds_of_other_settings_or_checkpoints_are_refused(
    evaluated: Path, model: dict[str, Any], cohort: Path, tmp_path: Path
) -> None:
    settings = {"dataset_dir": cohort, "output_dir": tmp_path / "out", **model, **QUICK}
    with pytest.raises(RuntimeError) as error:
        run_bundle(*TINY, "evaluate", run_id="evaluating", **{**settings, "slice_range": [8, 13]})
    assert "slice_range" in causes(error.value)
    with pytest.raises(RuntimeError) as error:
        run_bundle(
            *TINY,
            "evaluate",
            run_id="evaluating",
            **{**settings, "ckpt_path": next(Path(model["model_dir"]).glob("training/resume*.pt"))},
        )
    assert "another checkpoint" in causes(error.value)
    # the lock is this process's, which may try again; it goes with it
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {LOCK}


def causes(error: BaseException | None) -> str:
    """Messages of an error and of what caused it: MONAI wraps what a configuration raises."""
    return "" if error is None else f"{error}\n{causes(error.__cause__)}"


def test_inference_says_how_unusual_a_scan_is(
    evaluated: Path, model: dict[str, Any], cohort: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "scans").mkdir()
    shutil.copy(cohort / "image" / "test-003.nii.gz", tmp_path / "scans" / "unknown.nii.gz")
    logger = logging.getLogger("qfae_monai.evaluation.case_tables")
    logger.addHandler(caplog.handler)
    run_bundle(
        model["model_dir"] / "configs" / "inference.yaml",
        run_id="run",
        preset=None,
        slice_range=[9, 13],
        bundle_root=model["model_dir"],
        dataset_dir=tmp_path / "scans",
        output_dir=tmp_path / "out",
    )
    logger.removeHandler(caplog.handler)
    (volume,) = rows(tmp_path / "out" / "volumes.csv")
    (before,) = (row for row in rows(evaluated / "volumes.csv") if row["case"] == "test-003")
    assert volume["p_value"] == before["p_value"]
    assert float(volume["p_value"]) in (pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0)
    assert volume["label"] == ""
    assert any("unknown: score" in record.getMessage() for record in caplog.records)


def test_patient_in_two_sections_is_refused(model: dict[str, Any], cohort: Path, tmp_path: Path) -> None:
    content = json.loads((cohort / "dataset.json").read_text())
    sections = {
        name: [{**e, "image": str(cohort / e["image"]), "label": str(cohort / e["label"])} for e in content[name]]
        for name in ("training", "validation", "test")
    }
    sections["training"][0]["patient"] = sections["test"][0]["patient"] = "P7"
    (tmp_path / "dataset.json").write_text(json.dumps(sections))
    with pytest.raises(RuntimeError) as error:
        run_bundle(
            *TINY,
            "evaluate",
            run_id="evaluating",
            dataset_dir=tmp_path,
            **model,
            output_dir=tmp_path / "out",
            calibration="$None",
        )
    assert "P7 in 'training' and 'test'" in causes(error.value)


@pytest.mark.cpu
def test_two_processes_find_what_one_finds(
    evaluated: Path, model: dict[str, Any], cohort: Path, tmp_path: Path
) -> None:
    settings = {"dataset_dir": cohort, "output_dir": tmp_path, **model, **QUICK}
    in_two_processes(
        partial(run_bundle, *TINY, "evaluate", "distributed", run_id="evaluating", **settings), tmp_path / "logs"
    )
    for name in ("volumes.csv", "lesions.csv", "metrics.csv"):
        assert (tmp_path / name).read_text() == (evaluated / name).read_text(), name
    one, two = ([list(row.values()) for row in rows(folder / "slices.csv")] for folder in (evaluated, tmp_path))
    assert one == two
    one, two = (json.loads((folder / "evaluation.json").read_text()) for folder in (evaluated, tmp_path))
    assert one == two
    assert json.loads((tmp_path / "run.json").read_text())["processes"] == 2


def test_one_class_alone_leaves_the_rest_reported(model: dict[str, Any], cohort: Path, tmp_path: Path) -> None:
    content = json.loads((cohort / "dataset.json").read_text())
    normal = [entry for entry in content["test"] if entry["case"] in ("test-000", "test-001")]
    normal = [{**e, "image": str(cohort / e["image"]), "label": str(cohort / e["label"])} for e in normal]
    (tmp_path / "dataset.json").write_text(json.dumps({"test": normal}))
    run_bundle(
        *TINY,
        "evaluate",
        run_id="evaluating",
        dataset_dir=tmp_path,
        output_dir=tmp_path / "out",
        rivals="$None",
        false_positive_rate=0.2,
        **model,
        **QUICK,
    )
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["metrics"]["slice"]["auroc"]["value"] is None
    assert found["counts"]["normal_cases"] == 2
    assert any("abnormal" in warning for warning in found["warnings"])
    assert found["threshold"]["slice"]["n"] == 10
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize("truths", [[1, 1], [None, None], [1, 0]], ids=["abnormal", "unknown", "both"])
def test_cases_without_masks_end_in_a_report(
    model: dict[str, Any], cohort: Path, tmp_path: Path, truths: list[int | None]
) -> None:
    names = ("test-002", "test-000")
    entries = [
        {"image": str(cohort / "image" / f"{name}.nii.gz"), **({} if truth is None else {"image_label": truth})}
        for name, truth in zip(names, truths, strict=True)
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"test": entries}))
    run_bundle(
        *TINY,
        "evaluate",
        run_id="evaluating",
        dataset_dir=tmp_path,
        output_dir=tmp_path / "out",
        rivals="$None",
        **model,
        **QUICK,
    )
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (found["metrics"]["volume"]["auroc"]["value"] is not None) == (truths == [1, 0])
    assert (tmp_path / "out" / "report.html").is_file()
    assert len(rows(tmp_path / "out" / "volumes.csv")) == 2


def test_wanted_rate_is_achieved_on_fresh_normals(model: dict[str, Any], tmp_path: Path) -> None:
    write_phantom_cohort(tmp_path, train=1, validation=39, test_normal=60, test_abnormal=0, seed=11)
    settings = {
        "dataset_dir": tmp_path,
        "output_dir": tmp_path / "out",
        "rivals": "$None",
        "save_pictures": False,
        "false_positive_rate": 0.1,
        "pixel_false_positive_rate": 0.02,
        **model,
        "calibration_path": tmp_path / "calibration.json",
        **QUICK,
    }
    run_bundle(*TINY, "evaluate", "calibrate", run_id="calibrating", **settings)
    run_bundle(*TINY, "evaluate", run_id="evaluating", **settings)
    run = json.loads((tmp_path / "out" / "run.json").read_text())["calibration"]
    scores = np.array([float(row["score"]) for row in rows(tmp_path / "out" / "volumes.csv")])
    slices = np.array([float(row["score"]) for row in rows(tmp_path / "out" / "slices.csv")])
    achieved = [(scores > run["volume_threshold"]).mean(), (slices > run["slice_threshold"]).mean()]
    for rate in achieved:  # slices of a volume resemble each other: they are worth no more than 60 volumes
        interval = binomtest(round(60 * float(rate)), 60).proportion_ci(0.99)
        assert interval.low <= 0.1 <= interval.high
    p_values = np.array([float(row["p_value"]) for row in rows(tmp_path / "out" / "volumes.csv")])
    np.testing.assert_array_equal(p_values <= 0.1, scores > run["volume_threshold"])
