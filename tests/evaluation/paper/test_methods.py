"""The paragraph states what was done and found, and nothing that the run does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.page import write_report
from tests.evaluation.run_folder_factory import make_run_folder, training_record


def recorded(folder: Path, **changed: Any) -> dict[str, Any]:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | changed))
    return summarise(folder)


def test_figures_versions_and_thresholds(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    versions = {"qfae-monai": "0.1.0", "python": "3.11.9", "monai": "1.6.1", "torch": "2.8.0"}
    settings = {"model::encoder::name": "vit_small_patch14_dinov2", "model::image_size": 224}
    summary = recorded(folder, versions=versions, configuration=settings, training=training_record([]))
    said, counts = summary["methods"], summary["counts"]
    assert "arXiv 2507.18481" in said
    assert "QFAE for MONAI 0.1.0 (MONAI 1.6.1, PyTorch 2.8.0, Python 3.11.9)" in said
    assert "the frozen encoder vit_small_patch14_dinov2 at 224 x 224 pixels" in said
    assert "2 epochs (8 iterations) on 32 normal images or slices" in said
    assert f"12 volumes of {counts['patients']} patients (6 normal, 6 abnormal, {counts['slices']} slices" in said
    assert "on 20 held-out normal patients for a false-positive rate of 5.0 %" in said
    area = summary["metrics"]["slice"]["auroc"]
    limits = f"95 % interval {area['low']:.3f} to {area['high']:.3f}, n = {area['smaller_class']}"
    assert f"At the level of slices: AUROC = {area['value']:.3f} ({limits})" in said
    for word in ("Newcombe", "Wilson", "jackknife over patients", "permutation test over patients"):
        assert word in said
    assert said.split(" at 224", maxsplit=1)[0] in write_report(folder).read_text()


def test_what_is_unknown_or_undefined_is_left_out(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=4, abnormal=0, calibrated=False, masks=False)
    said = recorded(folder, versions={}, configuration={})["methods"]
    assert "as implemented in QFAE for MONAI." in said
    assert "No threshold was set." in said
    for word in ("None ", "nan", "epoch", "At the level", "frozen encoder"):
        assert word not in said.replace("None below", "")


def test_a_figure_without_an_interval_says_so(tmp_path: Path) -> None:
    summary = summarise(make_run_folder(tmp_path / "run", cases=4))
    area = summary["metrics"]["volume"]["auroc"]
    assert f"AUROC = {area['value']:.3f} (no interval, n = {area['smaller_class']})" in summary["methods"]
