"""`qfae model` as a user types it: shown, verified, packed, imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qfae_monai.model.folder import INFERENCE, MANIFEST, NETWORK, ModelFolder
from tests.cli.test_exit_codes import code_of


def test_show_verify_and_pack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_folder: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "model.zip"
    assert code_of(monkeypatch, "model", "pack", model_folder, "-o", packed) == 0
    for model in (model_folder, packed):
        assert code_of(monkeypatch, "model", "show", model) == 0
        assert code_of(monkeypatch, "model", "verify", model) == 0
    said = capsys.readouterr().out
    assert "3 scans" in said
    assert "- perceptual: vit_tiny_patch16_224, models/perceptual.safetensors; licence: none: random values" in said
    assert "are as they were written" in said


def test_verify_names_what_has_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_copy: Path
) -> None:
    licence = model_copy / "LICENSE"
    licence.write_text(licence.read_text() + "more")
    assert code_of(monkeypatch, "model", "verify", model_copy) == 1
    assert f"{licence}: expected the file of this model" in capsys.readouterr().err
    path = model_copy / INFERENCE
    path.write_text(path.read_text().replace("upper: 99.5", "upper: 90.5"))
    assert code_of(monkeypatch, "model", "verify", model_copy) == 1
    assert "upper: 99.5 then, 90.5 now" in capsys.readouterr().err


def test_import(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_folder: Path, tmp_path: Path
) -> None:
    command = ["model", "import", model_folder / NETWORK, "-o", tmp_path / "model", "--config", "datasets/phantoms"]
    assert code_of(monkeypatch, *command) == 0
    made = ModelFolder.open(tmp_path / "model")
    assert made.content["signature"] == ModelFolder.open(model_folder).content["signature"]
    assert made.files[NETWORK] == ModelFolder.open(model_folder).files[NETWORK]
    assert code_of(monkeypatch, *command) == 1
    assert "got one that holds a complete model" in capsys.readouterr().err


def test_bad_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_copy: Path, tmp_path: Path
) -> None:
    content = json.loads((model_copy / MANIFEST).read_text())
    (model_copy / MANIFEST).write_text(json.dumps({**content, "version": 9}))
    out, no_zip = tmp_path / "out", tmp_path / "bad.zip"
    no_zip.write_bytes(b"PK\x03\x04 and no more")
    for arguments, message in (
        (["show", tmp_path / "none"], "got nothing"),
        (["show", tmp_path], "got a folder without it"),
        (["show", no_zip], "bad.zip"),
        (["show", model_copy], "expected a model of version 1 or older, got 9"),
        (["pack", model_copy, "-o", tmp_path / "a.tar"], "ends in .zip, got .tar"),
        (["pack", tmp_path / "none"], "got nothing"),
        (["import", tmp_path / "none.pt", "-o", out], "none.pt"),
        (
            ["import", model_copy / NETWORK, "-o", out, "--preset", "huge"],
            "expected one of paper, small, dinov2_small, tiny, tiny_tokens",
        ),
        (["import", model_copy / NETWORK, "-o", out, "--config", "datasets/none"], "none.yaml"),
        (["import", model_copy / NETWORK, "-o", out, "--set", "bits"], "KEY=VALUE"),
        (["import", model_copy / NETWORK, "-o", out, "--set", "slice_axes=2"], "there is 'slice_axis'"),
    ):
        assert code_of(monkeypatch, "model", *arguments) == 1, arguments
        error = capsys.readouterr().err
        assert error.startswith("error: "), error
        assert error.count("\n") == 1, error
        assert message in error
        assert not out.exists(), arguments
