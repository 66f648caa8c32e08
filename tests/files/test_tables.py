"""CSV that a spreadsheet shows and does not run, and that comes back as it was."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfae_monai.evaluation.case_columns import LESION_COLUMNS, SLICE_COLUMNS, read_table, write_table
from qfae_monai.experiments.seed_run import read_scores
from qfae_monai.files import csv_text, read_rows, write_csv
from qfae_monai.pretraining.curves import write_rows
from qfae_monai.recipes.records import COLUMNS, table_text

FORMULAS = (
    "=1+1",
    '=HYPERLINK("http://x";"y")',
    "+cmd|' /C calc'!A0",
    "-2+3+cmd",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\tx",
    "\rx",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1+1",
    "\uff20A1",
    "\ufe62x",
    "\u2212x",
    " =1+1",
    "\u3000=1",
    "\ufeff=1",
    "\u200b=1",
    "\x00=1",
    "-",
    "=",
    "-1-1",
    "+1(2)",
    "-1e5x",
    "\n1",
)
TEXTS = (
    "a",
    "",
    "'a",
    "''",
    "1-1",
    "a=b",
    "-1.5",
    "+3",
    "-1e-05",
    "-inf",
    "-1 0 0 -2.5",
    "a,b",
    'a"b',
    "a;=b",
    "Müller",
)
NUMBERS = (-1.5, 3, -2, 1e-30, -1e-30, float("-inf"), np.float32(-0.25), np.int64(-4), "-0.98 0 -1e-05")
MARKED = tuple(marks + text for marks in ("", "'", "''") for text in FORMULAS)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_spreadsheet_takes_a_text_for_a_formula(text: str) -> None:
    cell = next(csv.reader(io.StringIO(csv_text([[text, "x"]]), newline="")))[0]
    assert cell == "'" + text


@pytest.mark.parametrize("text", ["a;=1+1", "a\t=1+1", "a|=1", "a\n=1+1", "a\r=1"])
def test_no_separator_of_another_country_begins_a_cell(text: str) -> None:
    assert csv_text([[text, 1]]) == f'"{text}",1\n'


@pytest.mark.parametrize("value", NUMBERS)
def test_numbers_stay_numbers(value: Any) -> None:
    assert csv_text([[value]]) == f"{value}\n"


@pytest.mark.parametrize("text", [*MARKED, *TEXTS])
def test_names_come_back_as_they_were(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_text([["name", text], [text, "x"]]).encode())
    assert read_rows(path) == [{"name": text, text: "x"}]


def test_any_text_comes_back_as_it_was(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    letters = list("'=+-@\t\r\n ,;\"|1.e\uff1d\u2212\u200ba")
    texts = ["".join(random.choice(letters, size=random.integers(0, 6))) for _ in range(5000)]
    path = tmp_path / "a.csv"
    path.write_bytes(csv_text([["name", "n"], *([text, n] for n, text in enumerate(texts))]).encode())
    assert [row["name"] for row in read_rows(path)] == texts


def test_every_table_of_ours_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Evaluation, pretraining, experiments and manifest: each writer with its reader."""
    names = ["=1+1", "-x", "'@b", "a;=c"]
    write_table(
        tmp_path / "lesions.csv", LESION_COLUMNS, [{"case": name, "patient": name, "peak": -1.5} for name in names]
    )
    table = read_table(tmp_path / "lesions.csv", LESION_COLUMNS)
    assert sorted(table["case"].tolist()) == sorted(table["patient"].tolist()) == sorted(names)
    assert set(table["peak"].tolist()) == {-1.5}
    assert ",-1.5," in (tmp_path / "lesions.csv").read_text()
    write_rows(tmp_path / "flagged.csv", [{"case": name, "score": -0.5} for name in names])
    assert [row["case"] for row in read_rows(tmp_path / "flagged.csv")] == names
    write_csv(tmp_path / "encoders.csv", ["name", "auroc"], [[name, None] for name in names])
    assert [row["name"] for row in read_rows(tmp_path / "encoders.csv")] == names
    (tmp_path / "manifest.csv").write_text(table_text([{"output": name} for name in names], COLUMNS))
    assert [row["output"] for row in read_rows(tmp_path / "manifest.csv")] == names
    rows = [{"case": name, "patient": name, "slice": 0, "score": -1.0, "label": 0} for name in names]
    write_table(tmp_path / "slices.csv", SLICE_COLUMNS, rows)
    assert read_scores(tmp_path / "slices.csv")[1].tolist() == [-1.0] * len(names)


def test_what_is_no_table_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 3: expected 2 cells, got 1"):
        read_rows(path)
    path.write_bytes(b"a,b\n\xff,1\n")
    with pytest.raises(ValueError, match=r"a\.csv: expected a table \(CSV\)"):
        read_rows(path)
    path.write_bytes(b"")
    assert read_rows(path) == []
