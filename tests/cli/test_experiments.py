"""`qfae experiments`, as a user types it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from qfae_monai import cli
from qfae_monai.cli.experiments import parse_seeds, settings_of
from qfae_monai.experiments import driver, table_run
from qfae_monai.experiments.rows import load_rows

ROOT = Path(__file__).parents[2]


def qfae(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["qfae", "experiments", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_list_shows_every_row_of_the_paper(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert qfae(monkeypatch, "list") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    rows = load_rows(group="paper")
    assert header.split() == ["ID", "TABLE", "ROW", "PUBLISHED", "DATA", "WEIGHTS"]
    assert [line.split()[0] for line in lines[: len(rows)]] == [row.name for row in rows]
    for row, line in zip(rows, lines, strict=False):
        assert f"  {row.published}  " in line
        assert "vit_large_patch16_224.mae" in line
    assert "data liverct-plain: BMAD's LiverCT, or `qfae prepare liver_ct --no-canvas`" in lines
    assert "more rows: --group ablation, --group robust" in lines
    assert qfae(monkeypatch, "list", "--table", "5", "--dataset", "rsna") == 0
    assert "83.8 ± 0.46" in capsys.readouterr().out.splitlines()[1]


def test_list_shows_rows_of_our_own_apart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert qfae(monkeypatch, "list", "--group", "robust") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines if line.startswith("robust-")] == [
        row.name for row in load_rows(group="robust")
    ]
    assert not any("encoder-" in line for line in lines)


def test_table_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qfae(monkeypatch, "list", "--table", "6") == 1
    assert "--table: expected one of 1, 2a, 2b, 2c, 2d, 3, 4, 5, 8, 9, 10, 11, 12, got '6'" in capsys.readouterr().err
    assert qfae(monkeypatch, "run", "--table", "2e", "--data", tmp_path, "--output", tmp_path) == 1
    assert "got '2e'" in capsys.readouterr().err
    assert qfae(monkeypatch, "run", "--data", tmp_path, "--output", tmp_path) == 1
    assert "or --table, one of both" in capsys.readouterr().err


def test_show_says_what_a_row_changes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert qfae(monkeypatch, "show", "qfae-liverct") == 0
    output = capsys.readouterr().out
    assert "changes::score_patch_sizes: [8, 16]" in output
    assert "published: 65.5 ± 1.96 (Tables 5, 8 and 12" in output
    assert "experiments/qfae-liverct.yaml', " in output  # before evaluate.yaml
    assert qfae(monkeypatch, "show", "table-2b-max", "--preset", "tiny") == 0
    output = capsys.readouterr().out
    assert "trained by: table-2a-perceptual" in output
    assert "another reading: --set 'changes::loss_blocks=[5, 11]'" in output
    assert "--changes::score_blocks '[0, 1]' \\\n" in output
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


def test_run_of_a_table_hands_over_rows_and_folders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, Any] = {}

    def run(table: str, rows: Any, folders: dict[str, Path], output: Path, **given: Any) -> dict[str, Any]:
        seen.update(given, table=table, rows=[row.name for row in rows], folders=folders)
        found = [driver.summarise(row, [{"seed": 7, "images": 2, "image_auroc": 50.0}], {}) for row in rows]
        return {"table": table, "preset": "tiny", "unit": "image AUROC in percent", "rows": found}

    monkeypatch.setattr(table_run, "run_table", run)
    data = [word for name in ("liverct", "liverct-plain") for word in ("--data", f"{name}={tmp_path}")]
    typed = ["--seeds", "7", "--preset", "tiny", "--output", tmp_path]
    assert qfae(monkeypatch, "run", "--table", "8", *data, *typed) == 0
    output = capsys.readouterr().out
    assert seen["rows"] == [row.name for row in load_rows(table="8")]
    assert seen["folders"] == {"liverct": tmp_path, "liverct-plain": tmp_path}
    assert (seen["preset"], seen["seeds"], seen["settings"]) == ("tiny", [7], {})
    assert "-4.10" in output  # 50.0 - 54.1
    assert "table-8.html" in output
    assert qfae(monkeypatch, "run", "--table", "8", "--data", f"liverct={tmp_path}", *typed) == 1
    assert "missing: liverct-plain (BMAD's LiverCT" in capsys.readouterr().err


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="got '1;2'"):
        parse_seeds("1;2")
    with pytest.raises(ValueError, match="got 'batch_size'"):
        settings_of(["batch_size"], None)


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


def test_document_has_every_row_with_its_figure() -> None:
    text = (ROOT / "docs" / "paper.md").read_text()
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    for row in load_rows(group="paper"):
        found = [cells for cells in shown if f"`{row.name}`" in cells]
        assert len(found) == len([table for table in row.tables if table != "12"]), row.name
        assert all(str(row.published) in [cell.strip("*") for cell in cells] for cells in found), row.name
    for row in load_rows():
        assert f"`{row.name}`" in text, row.name
