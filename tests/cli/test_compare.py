"""`qfae compare`: the table, the file, and one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qfae_monai.cli import app
from tests.evaluation.run_folder_factory import make_run_folder


def test_table_and_file(tmp_path: Path) -> None:
    runs = [str(make_run_folder(tmp_path / str(model), model=model)) for model in range(2)]
    result = CliRunner().invoke(app, ["compare", *runs, "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "95% interval" in result.output
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    value = written["metrics"]["slice"]["auroc"]["difference"]["value"]
    assert f"{value:+.3f}" in result.output


def test_other_cases_are_refused(tmp_path: Path) -> None:
    runs = [str(make_run_folder(tmp_path / str(cases), cases=cases)) for cases in (2, 4)]
    result = CliRunner().invoke(app, ["compare", *runs])
    assert isinstance(result.exception, ValueError)
    with pytest.raises(ValueError, match="case002, case003"):
        raise result.exception
