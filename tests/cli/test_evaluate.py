"""`qfae evaluate` and `qfae calibrate` as a user types them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qfae_monai.model.folder import CALIBRATION
from tests.cli.test_exit_codes import code_of


def test_evaluate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_folder: Path, scans: Path, tmp_path: Path
) -> None:
    command = ["evaluate", scans, "-m", model_folder, "-o", tmp_path / "run"]
    assert code_of(monkeypatch, *command, "--show-command") == 0
    assert "python -m monai.bundle run evaluating --config_file " in capsys.readouterr().out
    assert not (tmp_path / "run" / "report.html").exists()
    assert code_of(monkeypatch, *command) == 0
    assert f"report: {tmp_path / 'run' / 'report.html'}" in capsys.readouterr().out
    assert (tmp_path / "run" / "evaluation.json").is_file()


def test_calibrate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_copy: Path, scans: Path
) -> None:
    before = (model_copy / CALIBRATION).read_bytes()
    assert code_of(monkeypatch, "calibrate", scans / "dataset.json", "-m", model_copy, "--show-command") == 0
    assert "python -m monai.bundle run calibrating --config_file " in capsys.readouterr().out
    assert (model_copy / CALIBRATION).read_bytes() == before
    assert code_of(monkeypatch, "calibrate", scans / "dataset.json", "-m", model_copy) == 0
    assert "thresholds: " in capsys.readouterr().out


def test_bad_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_folder: Path, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given: list[tuple[list[Any], str]] = [
        (["evaluate", scans, "-m", tmp_path, "-o", out], "expected a model folder"),
        (["evaluate", tmp_path / "none", "-m", model_folder, "-o", out], "none"),
        (["evaluate", scans, "-m", model_folder, "-o", out, "--set", "x"], "KEY=VALUE"),
        (["evaluate", scans, "-m", model_folder, "-o", out, "--set", "sed=1"], "got 'sed'; there is 'seed'"),
        (["calibrate", tmp_path / "none", "-m", model_folder], "none"),
        (["calibrate", scans, "-m", scans], "expected a model folder"),
    ]
    for arguments, message in given:
        assert code_of(monkeypatch, *arguments) == 1, arguments
        error = capsys.readouterr().err
        assert error.startswith("error: "), error
        assert error.count("\n") == 1, error
        assert message in error
        assert not out.exists(), arguments
