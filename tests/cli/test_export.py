"""`qfae export` from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qfae_monai import cli
from qfae_monai.model.folder import ModelFolder
from tests.cli.test_exit_codes import code_of


def test_a_file_and_how_far_it_is_from_pytorch(model_folder: Path, tmp_path: Path) -> None:
    command = ["export", "-m", str(model_folder), "-o", str(tmp_path / "network.ts"), "--graph", "reconstruction"]
    found = CliRunner().invoke(cli.app, [*command, "--set", "num_workers=0"], catch_exceptions=False)
    assert found.exit_code == 0
    assert (tmp_path / "network.ts").stat().st_size > 1e6
    (difference,) = re.findall(r"largest difference from PyTorch: reconstruction (\S+)", found.output)
    assert float(difference) <= 1e-4


def test_a_graph_without_an_output_becomes_part_of_the_model(model_with_graph: Path) -> None:
    assert "models/detector.onnx" in ModelFolder.open(model_with_graph).files


BAD = [
    (["--set", "metric"], "KEY=VALUE, got 'metric'"),
    (["--graph", "map"], "got 'map'"),
    (["--set", "perceptual=1"], "got 'perceptual'"),
    (["--set", "model::metric=l1"], "model::metric: l2 then, l1 now"),
    (["-m", "nowhere"], "nowhere: expected a model folder"),
]


def test_bad_input_is_one_line(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "network.ts"
    for options, message in BAD:
        assert code_of(monkeypatch, "export", "-m", model_folder, "-o", output, *options) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert message in error
        assert not output.exists()


def test_a_packed_model_has_no_place_for_a_graph(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "model.zip"
    assert code_of(monkeypatch, "model", "pack", model_folder, "-o", packed) == 0
    assert code_of(monkeypatch, "export", "-m", packed) == 1
    assert "expected --output beside a packed model" in capsys.readouterr().err
