"""Whose configurations run: this installation's, what is plain, and what the user trusts; nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qfae_monai.cli import app
from qfae_monai.files.configurations import OWN, check_trusted, code_in, path_text, read_configuration
from qfae_monai.model.folder import NETWORK

CODE: list[dict[str, Any]] = [
    {"image_size": "$open('ran', 'w')"},
    {"image_size": {"_target_": "builtins.open", "file": "ran", "mode": "w"}},
    {"encoder_trunk::_target_": "builtins.open"},
    {"encoder_trunk#_target_": "builtins.open"},
    {"+imports": ["$import os"]},
    {"imports": ["import os"]},
    {"image_size": "%other.json::image_size"},
    {"image_size": "@bundle_root"},
    {"preprocessing::transforms::0::reader": "NumpyReader"},
    {"score_blocks": [1, ["$open('ran', 'w')"]]},
    {"_desc_": "$open('ran', 'w')"},
    {"load_image": {"reader": "x"}},
]


@pytest.mark.parametrize("content", CODE, ids=str)
def test_an_overlay_that_is_more_than_plain_values_needs_trust(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "overlay.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"overlay\.json: expected plain values by their names, or --trust"):
        check_trusted([path], trusted=False)
    check_trusted([path], trusted=True)


def test_plain_values_and_the_own_bundle_run(tmp_path: Path) -> None:
    path = tmp_path / "overlay.json"
    path.write_text(json.dumps({"_desc_": "sizes", "changes::score_blocks": [1, 2], "changes::metric": "l1"}))
    check_trusted([path, OWN / "configs" / "datasets" / "ct_window.yaml"], trusted=False)
    check_trusted([tmp_path / "nothing.json"], trusted=False)  # whoever reads it says so


def test_yaml_is_data_too(tmp_path: Path) -> None:
    path = tmp_path / "overlay.yaml"
    path.write_text("image_size: $open('ran', 'w')\n")
    with pytest.raises(ValueError, match=r"overlay\.yaml: expected plain values"):
        check_trusted([path], trusted=False)
    path.write_text("image_size: !!python/object/apply:os.system ['touch ran']\n")
    with pytest.raises(ValueError, match="ConstructorError"):
        read_configuration(path)
    path.write_text(
        "a: &a [1, 1]\n"
        + "".join(
            f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True)
        )
    )
    with pytest.raises(ValueError, match="at most 100000 values"):
        read_configuration(path)
    path.write_text("a: &a [*a]\n")
    with pytest.raises(ValueError, match="at most 100000 values"):
        read_configuration(path)


COMMANDS = [
    ["predict", "-i", "scans/image", "-o", "out", "-m", "model"],
    ["evaluate", "scans", "-o", "out", "-m", "model"],
    ["calibrate", "scans", "-m", "model"],
    ["export", "-o", "out/a.onnx", "-m", "model"],
    ["model", "verify", "model"],
    ["model", "import", "model.pt", "-o", "out", "--config", "overlay.yaml"],
    ["encoders", "compare", "--data", "scans", "--output", "out", "--config", "overlay.yaml"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_every_command_asks_before_it_runs_configurations_of_others(
    command: list[str], model_folder: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model_folder, "model")
    Path("scans").symlink_to(scans)
    shutil.copy(model_folder / NETWORK, "model.pt")
    Path("overlay.yaml").write_text("imports: [\"$open('ran', 'w')\"]\n")
    for path in Path("model", "configs").glob("*.yaml"):
        content = read_configuration(path)
        path.write_text(json.dumps({**content, "imports": ["$open('ran', 'w')", *content["imports"]]}))
    before = {path.name for path in tmp_path.iterdir()}
    found = CliRunner().invoke(app, command)
    assert isinstance(found.exception, ValueError), found.output
    assert "--trust beside it" in str(found.exception)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_names_of_files_are_no_expressions() -> None:
    for mark in "$@%":
        assert path_text(Path(f"{mark}x") / "model.pt") == f"./{mark}x/model.pt"
    assert path_text("/data/$x") == "/data/$x"
    assert code_in({"ckpt_path": path_text("$open('ran')")}) == []
