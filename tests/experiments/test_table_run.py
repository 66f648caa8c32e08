"""A table of the paper over its rows, as a rehearsal: shared trainings, results beside the published, refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.experiments import table_run
from qfae_monai.experiments.driver import summarise
from qfae_monai.experiments.rows import load_rows
from qfae_monai.experiments.table_run import format_table, run_table
from qfae_monai.model.bundle import Bundle
from qfae_monai.weights import WeightsNotFoundError

SETTINGS: dict[str, Any] = {"max_epochs": 1, "val_interval": 1, "batch_size": 2, "num_workers": 0}


def test_rows_that_share_a_training_train_once(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, str]] = []
    run = Bundle.run

    def count(bundle: Bundle, run_id: str) -> None:
        ran.append((run_id, bundle.files[2].stem))
        run(bundle, run_id, quiet=True)

    monkeypatch.setattr(Bundle, "run", count)
    settings = {**SETTINGS, "save_pictures": False}
    rows = load_rows(table="2b")
    found = run_table("2b", rows, {"brats2021": images}, tmp_path, seeds=(1,), preset="tiny", settings=settings)
    assert ran == [
        ("training", "table-2a-perceptual"),
        ("evaluating", "table-2a-perceptual"),
        ("evaluating", "table-2b-max"),
    ]
    assert found == run_table("2b", rows, {"brats2021": images}, tmp_path, seeds=(1,), preset="tiny", settings=settings)
    assert len(ran) == 3  # nothing is done twice
    assert found == json.loads((tmp_path / "table-2b.json").read_text())
    assert [row["published"]["image_auroc"] for row in found["rows"]] == [88.5, 92.6]
    lines = list(csv.DictReader((tmp_path / "table-2b.csv").open()))
    assert [line["id"] for line in lines] == [row.name for row in rows]
    assert float(lines[0]["difference"]) == pytest.approx(float(lines[0]["mean"]) - 88.5)
    page = (tmp_path / "table-2b.html").read_text()
    for row in rows:
        assert f'href="{row.name}/seed-1/evaluation/report.html"' in page
        assert (tmp_path / row.name / "seed-1" / "evaluation" / "report.html").is_file()
    assert "sizes of preset tiny" in page


def one(values: list[float], preset: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Table 5 of these values for every data set, without a training."""

    def stand_in(row: Any, data: Path, output: Path, **given: Any) -> dict[str, Any]:
        seeds = [{"seed": seed, "images": 9, "image_auroc": value} for seed, value in enumerate(values)]
        return summarise(row, seeds, {})

    monkeypatch.setattr(table_run, "run_experiment", stand_in)
    monkeypatch.setattr(table_run, "check_weights", lambda *_: None)
    rows = load_rows(table="5")
    return run_table("5", rows, dict.fromkeys((row.data for row in rows), tmp_path), tmp_path, preset=preset)


def test_ours_stand_beside_theirs_with_difference_and_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = format_table(one([94.0, 94.5, 95.0], "paper", monkeypatch, tmp_path)).splitlines()
    # 94.5 - 94.3, and its standard error sqrt(0.5 ** 2 / 3 + 0.18 ** 2 / 5) = 0.300; Welch's 2.31 degrees of freedom
    (line,) = [text for text in shown if text.startswith("qfae-brats2021")]
    assert "94.50 ± 0.50" in line
    assert "94.3 ± 0.18" in line
    low, _, high = line.partition("+0.20 (")[2].rstrip(")").split()
    assert (float(low), float(high)) == pytest.approx((0.2 - 3.80 * 0.300, 0.2 + 3.80 * 0.300), abs=0.03)
    assert any("Welch's t over our seeds and the 5 published ones" in text for text in shown)
    assert not any("preset" in text for text in shown)


def test_one_seed_has_no_interval_and_a_rehearsal_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = format_table(one([50.0], "tiny", monkeypatch, tmp_path))
    assert "Interval" not in shown
    assert "sizes of preset tiny" in shown


def test_missing_weights_are_refused_before_anything_trains(images: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "weights_dir": str(tmp_path / "weights")}
    with pytest.raises(WeightsNotFoundError, match="qfae weights fetch"):
        run_table("3", load_rows(table="3"), {"brats2021": images}, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()
