"""`qfae tune` measures without weights or data, and a bundle's configuration finds what it kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qfae_monai.cli import app
from qfae_monai.training import tuning


def test_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tuned.json"
    monkeypatch.setattr(tuning, "TUNED_FILE", path)
    command = ["tune", "--preset", "tiny", "--set", "batch_size=2", "--set"]
    found = CliRunner().invoke(app, [*command, "precision=float32"], catch_exceptions=False)
    assert found.exit_code == 0
    assert "inference, 64 at a time:" in found.output
    assert "training, 2 at a time:" in found.output
    kept = json.loads(path.read_text())
    assert [key.split(";")[0] for key in kept] == ["inference", "training"]
    assert all("64 px" in key and "float32" in key and 1 <= best <= 64 for key, best in kept.items())


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--set: expected a key of the configuration, got 'batchsize'"):
        CliRunner().invoke(app, ["tune", "--set", "batchsize=2"], catch_exceptions=False)
