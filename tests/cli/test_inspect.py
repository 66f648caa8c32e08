"""`qfae inspect`: what a stranger's folder holds, as printable text, with nothing in it run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from qfae_monai.cli import app
from qfae_monai.weights import save_checkpoint
from tests.experiments.own_weights import write_own


class Command:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("ran",)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder from a stranger."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(
        json.dumps({"imports": ["$import os"], "run": "$os.mkdir('ran')", "name\x1b[31m": "\x1b]0;title\x07"})
    )
    (folder / "calibration.json").write_text(json.dumps({"slice_scores": [1], "settings": "$os.mkdir('ran')"}))
    torch.save({"a": Command()}, folder / "bad.pt")
    save_checkpoint(folder / "model.pt", {"a": torch.zeros(2, 3)})
    write_own(folder / "own.safetensors", seed=1, inside=True)
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "link.json").symlink_to("/etc/hostname")
    return folder


def show(path: Path) -> str:
    found: Any = CliRunner().invoke(app, ["inspect", str(path)], catch_exceptions=False)
    assert found.exit_code == 0
    assert not Path("ran").exists()
    assert all(line.isprintable() for line in found.output.splitlines())
    return found.output


def test_a_folder_is_told_file_by_file(model: Path) -> None:
    lines = {line.split(":")[0]: line for line in show(model).splitlines()}
    assert "configuration that runs code: 2 places" in lines["configs/inference.json"]
    assert "calibration, which would be refused" in lines["calibration.json"]
    assert "only code can make (posix.mkdir)" in lines["bad.pt"]
    assert "checkpoint: 1 tensors, 6 values" in lines["model.pt"]
    assert "weights: " in lines["own.safetensors"]
    assert "refused" in lines["deep.json"]
    assert "a link or no plain file, left alone" in lines["link.json"]


def test_a_file_is_shown_value_by_value(model: Path) -> None:
    shown = show(model / "configs" / "inference.json")
    assert "SHA-256" in shown
    assert "  run: $os.mkdir('ran')" in shown
    assert "name\\x1b[31m: \\x1b]0;title\\x07" in shown
    assert "metadata model_card" in show(model / "own.safetensors")
    assert "create_vit.name: vit_tiny_patch16_224" in show(model / "own.safetensors")


def test_nothing_to_look_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a file or a folder to look at"):
        CliRunner().invoke(app, ["inspect", str(tmp_path / "none")], catch_exceptions=False)
