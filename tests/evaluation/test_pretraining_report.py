"""The page of a pretraining: its curves, its card and the images to look at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qfae_monai.evaluation.pretraining_report import write_pretraining_page

CARD = {
    "method": "mae",
    "create_vit": {
        "name": "vit_tiny_patch16_224",
        "image_size": 64,
        "patch_size": 8,
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
    },
    "data": {"images": 12, "sha256": "ab" * 32},
    "epochs": {"done": 3, "planned": 5},
    "licence": "one's own",
    "started_from": {"file": None},
    "settings": {"seed": 42, "batch_size": 4},
    "versions": {"torch": "2"},
    "file": "mae.safetensors",
    "sha256": "cd" * 32,
}


def _folder(path: Path) -> Path:
    (path / "mae.json").write_text(json.dumps(CARD))
    (path / "curves.csv").write_text("epoch,train_loss,val_loss\n1,0.9,\n2,0.7,0.8\n3,0.6,0.7\n")
    (path / "flagged.csv").write_text("case,slice,score,ratio\n<b>,7,3.25,1.5\n")
    return path


def test_the_page_shows_curves_card_and_images(tmp_path: Path) -> None:
    page = write_pretraining_page(_folder(tmp_path), tmp_path / "mae.safetensors").read_text()
    assert page.count("<svg") == 2  # a curve for each column that the run has
    for text in (
        "12 normal images for 3 of 5 epochs",
        "one&#39;s own",
        "random values",
        "&lt;b&gt;",
        "3.25",
        "cd" * 32,
    ):
        assert text in page


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    (_folder(tmp_path) / "curves.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"curves\.csv"):
        write_pretraining_page(tmp_path, tmp_path / "mae.safetensors")
