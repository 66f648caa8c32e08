"""Whose configurations run: this installation's, what is plain, and what the user trusts; nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qfae_monai.cli import app
from qfae_monai.files.configurations import check_trusted, code_in, path_text, read_configuration
from tests.bundles.conftest import BUNDLE

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


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A copy of the bundle, as anyone may pass one on."""
    shutil.copytree(BUNDLE / "configs", tmp_path / "foreign" / "configs")
    return tmp_path / "foreign"


@pytest.mark.parametrize("content", CODE, ids=str)
def test_an_overlay_that_is_more_than_plain_values_needs_trust(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "overlay.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"overlay\.json: expected plain values by their names, or --trust"):
        check_trusted(BUNDLE, [path], trusted=False)
    check_trusted(BUNDLE, [path], trusted=True)


def test_plain_values_and_the_own_bundle_run(tmp_path: Path) -> None:
    path = tmp_path / "overlay.json"
    path.write_text(json.dumps({"_desc_": "sizes", "image_size": 64, "score_blocks": [1, 2], "metric": "l1"}))
    check_trusted(BUNDLE, [path, BUNDLE / "configs" / "datasets" / "ct_window.json"], trusted=False)
    check_trusted(tmp_path / "nowhere", [tmp_path / "nothing.json"], trusted=False)  # whoever reads them says so


def test_a_bundle_from_elsewhere_says_what_it_would_run(foreign: Path) -> None:
    with pytest.raises(ValueError, match=r"foreign/configs/.*json: .*--trust beside it: .*; `qfae inspect .*foreign`"):
        check_trusted(foreign, trusted=False)


def test_yaml_is_data_too(tmp_path: Path) -> None:
    path = tmp_path / "overlay.yaml"
    path.write_text("image_size: $open('ran', 'w')\n")
    with pytest.raises(ValueError, match=r"overlay\.yaml: expected plain values"):
        check_trusted(BUNDLE, [path], trusted=False)
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
    ["predict", "-i", "scans", "-o", "out"],
    ["export", "--checkpoint", "model.pt", "--output", "a.onnx"],
    ["tune"],
    ["demo", "--output", "out"],
    ["encoders", "compare", "--data", ".", "--output", "out"],
    ["experiments", "run", "qfae-rsna", "--data", ".", "--output", "out"],
    ["experiments", "evaluate", "rsna", "--checkpoint", "model.pt", "--data", ".", "--output", "out"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_every_command_asks_before_it_runs_another_bundle(
    command: list[str], foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (foreign / "configs").glob("*.json"):
        path.write_text(json.dumps({"imports": ["$open('ran', 'w')"], **json.loads(path.read_text())}))
    found = CliRunner().invoke(app, [*command, "--bundle", str(foreign)])
    assert isinstance(found.exception, ValueError)
    assert "--trust beside it" in str(found.exception)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def test_names_of_files_are_no_expressions() -> None:
    for mark in "$@%":
        assert path_text(Path(f"{mark}x") / "model.pt") == f"./{mark}x/model.pt"
    assert path_text("/data/$x") == "/data/$x"
    assert code_in({"ckpt_path": path_text("$open('ran')")}) == []
