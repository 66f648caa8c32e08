"""A model folder is opened whole or refused in one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.model.folder import MANIFEST, ModelFolder, inside, seal_again
from qfae_monai.predict.model import Model


def change(path: Path, **content: Any) -> None:
    manifest = path / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **content}))


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, found in (
        (tmp_path / "none", "nothing"),
        (tmp_path, "a folder without it"),
        (tmp_path / "file", "a file"),
    ):
        with pytest.raises(FileNotFoundError, match=f"expected a model folder .* got {found}$"):
            ModelFolder.open(path)


def test_a_newer_model_says_which_version_wrote_it(copied: Path) -> None:
    change(copied, version=2, package="9.9.9")
    with pytest.raises(
        ValueError, match=r"expected a model of version 1 or older, got 2: written by qfae-monai 9\.9\.9"
    ):
        ModelFolder.open(copied)


@pytest.mark.parametrize(
    "content",
    [
        {"version": "1"},
        {"version": True},
        {"version": None},
        {"version": 1.5},
        {"files": []},
        {"kind": "film"},
        {"files": {"a": "b"}},
        {"frozen": [{"role": "encoder"}]},
        {"signature": {"a": {}}},
        {"more": 1},
    ],
)
def test_a_manifest_of_another_form_is_refused(copied: Path, content: dict[str, Any]) -> None:
    change(copied, **content)
    with pytest.raises(ValueError, match=r"model\.json"):
        ModelFolder.open(copied)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\x00"])
def test_a_damaged_manifest_is_refused(copied: Path, text: str) -> None:
    (copied / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=r"model\.json"):
        ModelFolder.open(copied)


@pytest.mark.parametrize("name", ["models/model.pt", "models/perceptual.safetensors"])
def test_a_changed_or_missing_file_is_named(copied: Path, name: str) -> None:
    with (copied / name).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ValueError, match=f"{name}: expected the file of this model .* got another"):
        ModelFolder.open(copied)
    (copied / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: expected a file of the model, found none"):
        ModelFolder.open(copied)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\..\\x"])
def test_names_lead_nowhere_else(copied: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected names of files below the folder"):
        inside(copied, name)


def test_a_link_in_place_of_a_file_is_refused(copied: Path, phantom_model: Path) -> None:
    (copied / "models" / "model.pt").unlink()
    (copied / "models" / "model.pt").symlink_to(phantom_model / "models" / "model.pt")
    with pytest.raises(ValueError, match="expected names of files below the folder"):
        ModelFolder.open(copied)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("upper: 99.5", "upper: 99.4", "prepare::transforms::2::upper: 99.5 then, 99.4 now"),
        ("divisor: 0.226", "divisor: 0.227", "normalize::divisor"),
        ("min_foreground: 0.01", "min_foreground: 0.02", "min_foreground"),
        ("slice_range: [3, 20]", "slice_range: [3, 21]", "slice_range"),
        ("metric: l2", "metric: l1", "model::metric"),
        ("precision: float32", "precision: bfloat16", "precision"),
    ],
)
def test_a_changed_number_is_named(copied: Path, edit: Any, old: str, new: str, name: str) -> None:
    edit(copied / "configs" / "inference.yaml", old, new)
    with pytest.raises(ValueError, match=f"inference.yaml: expected the configuration .*{name}"):
        Model(copied)


def test_what_a_run_adds_becomes_part_of_the_model(copied: Path) -> None:
    (copied / "calibration.json").write_text("{}")
    (copied / "training").mkdir()
    (copied / "training" / "resume.pt").write_text("local")
    files = seal_again(copied).files
    assert "calibration.json" in files
    assert not [name for name in files if name.startswith("training/")]
    ModelFolder.open(Path(shutil.move(copied, copied.with_name("elsewhere"))))
