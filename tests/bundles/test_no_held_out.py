"""A data list whose validation section has no normal image: refused before the training, not behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qfae_monai.model.bundle import Bundle
from tests.data.textures import save_image, texture

IMAGES = ["train", "datasets/bmad", "datasets/image_list"]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    sections = {"training": (8, 0), "validation": (2, 1), "test": (1, 0)}  # images, and their label
    listed: dict[str, list[dict[str, object]]] = {}
    for section, (count, label) in sections.items():
        names = [f"{section}{number}.png" for number in range(count)]
        for number, name in enumerate(names):
            save_image(tmp_path / name, texture(len(section) * 100 + number))
        listed[section] = [{"image": name, "image_label": label} for name in names]
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    return {"preset": "tiny", "dataset_dir": str(tmp_path), "model_dir": str(tmp_path / "model"), "max_epochs": 1}


def test_nothing_is_trained(settings: dict[str, object], tmp_path: Path) -> None:
    message = r"dataset\.json: expected held-out normal images or slices in its validation section, got none"
    with pytest.raises(ValueError, match=message):
        Bundle(IMAGES, settings).run("training", quiet=True)
    assert not (tmp_path / "model" / "models" / "model.pt").exists()


def test_nothing_is_calibrated(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected scans to score, held-out normal ones for thresholds, got none"):
        Bundle([*IMAGES, "evaluate", "calibrate"], settings).run("calibrating", quiet=True)
