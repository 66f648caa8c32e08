"""Tables are written all or none, and none of an earlier run stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.evaluation.paper import PaperTable, write_tables


def table(name: str, *rows: tuple[object, ...]) -> PaperTable:
    return PaperTable(name, "caption", ("name", "value", "reason"), rows)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_table_without_rows_removes_its_files_and_no_others(tmp_path: Path) -> None:
    write_tables(tmp_path, [table("a", ("x", 1.0, "")), table("b", ("x", 1.0, ""))])
    (tmp_path / "notes.csv").write_text("of the user")
    write_tables(tmp_path, [table("a", ("y", 2.0, "")), table("b")])
    assert names(tmp_path) == ["a.csv", "a.tex", "notes.csv"]
    assert (tmp_path / "a.csv").read_text() == "name,value,reason\ny,2.0,\n"


def test_what_fails_half_way_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables(tmp_path, [table("a", ("x", 1.0, "")), table("b", ("x", 1.0, ""))])
    monkeypatch.setattr("qfae_monai.evaluation.paper.table.write_whole", full)
    with pytest.raises(OSError, match="no space"):
        write_tables(tmp_path, [table("a", ("y", 2.0, "")), table("b", ("y", 2.0, ""))])
    assert names(tmp_path) == []


def full(path: Path, content: str) -> None:
    if path.name == "b.tex":
        raise OSError("no space left")
    path.touch()


def test_a_cell_is_no_formula_and_reasons_are_in_the_csv_alone(tmp_path: Path) -> None:
    write_tables(tmp_path, [table("a", ("=1+1", 0.5, "too few"), ("@x", None, ""))])
    assert (tmp_path / "a.csv").read_text().splitlines()[1:] == ["'=1+1,0.5,too few", "'@x,,"]
    assert "too few" not in (tmp_path / "a.tex").read_text()
