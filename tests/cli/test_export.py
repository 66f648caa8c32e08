"""`qfae export` from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qfae_monai import cli
from tests.export.checkpoints import BUNDLE, TINY, make_checkpoint


def command(checkpoint: Path, output: Path, *options: str) -> list[str]:
    return ["export", "--checkpoint", str(checkpoint), "--output", str(output), "--preset", "tiny",
            "--bundle", str(BUNDLE), *options]  # fmt: skip


def test_a_file_and_how_far_it_is_from_pytorch(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model.pt", TINY)
    asked = command(checkpoint, tmp_path / "network.ts", "--graph", "reconstruction", "--set", "num_workers=0")
    found = CliRunner().invoke(cli.app, asked, catch_exceptions=False)
    assert found.exit_code == 0
    assert (tmp_path / "network.ts").stat().st_size > 1e6
    (difference,) = re.findall(r"largest difference from PyTorch: reconstruction (\S+)", found.output)
    assert float(difference) <= 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "metric"], "KEY=VALUE, got 'metric'"),
        (["--graph", "map"], "got 'map'"),
        (["--weights", "nowhere", "--set", "perceptual=1"], "got 'perceptual'"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, options: list[str], message: str
) -> None:
    checkpoint = make_checkpoint(tmp_path / "model.pt", TINY)
    monkeypatch.setattr("sys.argv", ["qfae", *command(checkpoint, tmp_path / "network.ts", *options)])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
