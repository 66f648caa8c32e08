"""Copies of training scans in a test are told by `qfae train` and `qfae evaluate`, under any name and format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qfae_monai.data.scan_picture import kept_pictures
from qfae_monai.model.folder import NETWORK
from qfae_monai.model.runs import Data, evaluation
from qfae_monai.model.training import train
from qfae_monai.training.training_record import FILE
from tests.data.textures import save_image, texture

NORMAL = 8


def test_they_are_told_on_the_screen_and_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Flipped JPEGs, so that nothing but their pictures tells whose copies they are."""
    for number in range(NORMAL):
        save_image(tmp_path / "normal" / f"{number}.png", texture(number))
        save_image(tmp_path / "ill" / f"copy{number}.jpg", texture(number)[:, ::-1], quality=90)
    save_image(tmp_path / "healthy" / "new.png", texture(100))
    model = train(tmp_path / "normal", tmp_path / "model", abnormal=tmp_path / "ill", images=8)
    listed = json.loads((model / "training" / "dataset.json").read_text())
    said = f"{len(listed['training'])} of {len(listed['test'])} test scans are near-duplicates (correlation "
    shown = capsys.readouterr().err
    assert f"WARNING: {said}" in shown
    assert ".jpg ~ " in shown
    record = json.loads((model / NETWORK).with_name(FILE).read_text())
    assert any(sentence.startswith(said) for sentence in record["warnings"])
    kept_pictures().clear()
    run = evaluation(model, Data(tmp_path / "healthy", tmp_path / "ill"), tmp_path / "run")
    run.run()
    warnings = json.loads((tmp_path / "run" / "evaluation.json").read_text())["warnings"]
    copies = f"{len(listed['training'])} of {NORMAL + 1} test scans are near-duplicates"
    assert any(copies in sentence and "of training scans of other patients" in sentence for sentence in warnings)
    assert any(sentence.startswith("Without the ") for sentence in warnings)
