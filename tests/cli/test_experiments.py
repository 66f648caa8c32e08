"""`qfae experiments`, as a user types it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from qfae_monai import cli
from qfae_monai.cli.experiments import parse_seeds, settings_of
from qfae_monai.experiments import driver
from qfae_monai.experiments.rows import load_rows

ROOT = Path(__file__).parents[2]


def qfae(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["qfae", "experiments", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_list_shows_every_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert qfae(monkeypatch, "list") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["ID", "TABLE", "ROW", "DATA", "PUBLISHED", "COMMAND"]
    assert [line.split()[0] for line in lines] == [row.name for row in load_rows()]
    assert all(f"qfae experiments run {line.split()[0]} " in line for line in lines)
    assert qfae(monkeypatch, "list", "--table", "5", "--dataset", "rsna") == 0
    assert "83.8 ± 0.46" in capsys.readouterr().out.splitlines()[1]


def test_show_says_what_a_row_changes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert qfae(monkeypatch, "show", "qfae-liverct") == 0
    output = capsys.readouterr().out
    assert "changes::score_patch_sizes: [8, 16]" in output
    assert "published: 65.5 ± 1.96 (Table 5" in output
    assert "experiments/qfae-liverct.yaml', " in output  # before evaluate.yaml
    assert qfae(monkeypatch, "show", "table-6") == 1
    assert "got 'table-6'" in capsys.readouterr().err


def test_run_passes_on_what_was_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def run(row: Any, data: Path, output: Path, **given: Any) -> dict[str, Any]:
        seen.update(given, row=row.name)
        return driver.summarise(row, [{"seed": 7, "images": 2, "image_auroc": 50.0}], {})

    monkeypatch.setattr(driver, "run_experiment", run)
    typed = ["--seeds", "7", "--epochs", "3", "--weights", "w", "--set", "batch_size=8", "--set", "precision=auto"]
    assert qfae(monkeypatch, "run", "qfae-resc", "--data", tmp_path, "--output", tmp_path, *typed) == 0
    assert seen == {
        "row": "qfae-resc",
        "seeds": [7],
        "preset": "paper",
        "layout": "datasets/bmad",
        "settings": {"weights_dir": "w", "batch_size": 8, "precision": "auto", "max_epochs": 3},
    }


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="got '1;2'"):
        parse_seeds("1;2")
    with pytest.raises(ValueError, match="got 'batch_size'"):
        settings_of(["batch_size"], None)


def test_document_lists_every_row() -> None:
    listing = (ROOT / "docs" / "paper.md").read_text().rpartition("## The listing")[2]
    shown = [line.split()[0] for line in listing.partition("ID  ")[2].splitlines()[1:] if line and line != "```"]
    assert shown == [row.name for row in load_rows()]


def test_rivals_are_listed_and_wrong_ones_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert qfae(monkeypatch, "rivals", "--list") == 0
    assert "dinomaly" in capsys.readouterr().out
    assert qfae(monkeypatch, "rivals", "pca", "--data", tmp_path) == 1
    assert "expected NAME... --data DIR -o DIR" in capsys.readouterr().err
    place = ["--data", tmp_path, "-o", tmp_path / "out"]
    assert qfae(monkeypatch, "rivals", "resnet", *place) == 1
    assert "got 'resnet'" in capsys.readouterr().err
    assert qfae(monkeypatch, "rivals", "pca", *place, "--weights", tmp_path / "none") == 1
    assert "expected a folder of pretrained weights" in capsys.readouterr().err
