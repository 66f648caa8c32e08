"""`qfae pretrain` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_exit_codes import code_of


@pytest.mark.slow
def test_weights_card_and_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cohort_folders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "weights"
    command = ["pretrain", "mae", cohort_folders / "normal", "-o", out]
    assert code_of(monkeypatch, *command, "--show-command") == 0
    said = capsys.readouterr().out
    assert "4 volumes of 4 patients" in said
    assert "python -m monai.bundle run pretraining_mae --config_file " in said
    short = [*command, "--set", "max_epochs=1"]
    assert code_of(monkeypatch, *short, "--set", "least_gain=1.0") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: judged by ")
    assert "Traceback" not in error
    assert not (out / "mae.safetensors").exists()
    assert code_of(monkeypatch, *short, "--set", "least_gain=null") == 0
    said = capsys.readouterr().out
    assert "painted lesions: 0." in said
    assert f"weights: {out / 'mae.safetensors'}" in said
    assert (out / "mae.safetensors").is_file()
    assert (out / "report.html").is_file()


def test_bad_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cohort_folders: Path, tmp_path: Path
) -> None:
    out, normal = tmp_path / "weights", cohort_folders / "normal"
    assert code_of(monkeypatch, "pretrain", "clip", normal, "-o", out) == 2
    capsys.readouterr()
    for arguments, message in (
        (["mae", tmp_path / "none", "-o", out], "none"),
        (["mae", cohort_folders / "abnormal", "-o", out], "expected scans of at least 2 normal patients"),
        (["mae", normal, "-o", out, "--set", "max_epoch=1"], "got 'max_epoch'; there is 'max_epochs'"),
    ):
        assert code_of(monkeypatch, "pretrain", *arguments) == 1, arguments
        error = capsys.readouterr().err
        assert error.startswith("error: "), error
        assert error.count("\n") == 1, error
        assert message in error
        assert not out.exists(), arguments
