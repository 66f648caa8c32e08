"""The record of a training says how it was made and what went wrong, and belongs to one checkpoint only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from qfae_monai.training import TrainingRecord
from qfae_monai.training.training_record import read_training


class Watched:
    """Stands for a guard and for the check of held-out images."""

    def __init__(self) -> None:
        self.warnings = ["The maps are constant"]

    def record(self) -> dict[str, Any]:
        return {
            "images": 3,
            "distance": 0.1,
            "mean_image_distance": 0.2,
            "map_spread": 0.5,
            "map_spread_over_images": 0.4,
        }


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    watched = Watched()
    record = TrainingRecord(
        path,
        watches=[watched],
        held_out=watched,  # type: ignore[arg-type]
        precision="auto",
        device=torch.device("cpu"),
        seed=5,
    )
    engine = Engine(lambda engine, batch: None)
    record.attach(engine)
    engine.run(torch.utils.data.DataLoader([0, 1, 2]), max_epochs=2)  # type: ignore[arg-type]
    return path


def test_format_threads_and_machine_are_written(checkpoint: Path) -> None:
    found = read_training(checkpoint)
    assert found is not None
    assert (found["precision"], found["seed"], found["epochs"], found["iterations"]) == ("auto", 5, 2, 6)
    assert found["format"] in ("float32", "bfloat16")
    assert found["threads"] == torch.get_num_threads()
    assert "CPU" in found["device"]
    assert found["warnings"] == ["The maps are constant"]


def test_another_checkpoints_record_says_nothing(checkpoint: Path) -> None:
    checkpoint.write_bytes(b"other weights")
    assert read_training(checkpoint) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"version": 2, "checkpoint": {"sha256": ""}, "warnings": []}',
        '{"version": 1, "checkpoint": {"sha256": ""}, "warnings": "none"}',
    ],
)
def test_a_file_that_is_no_record_is_refused(checkpoint: Path, text: str) -> None:
    checkpoint.with_name("training.json").write_text(text)
    with pytest.raises(ValueError, match=r"training\.json: expected the record of a training"):
        read_training(checkpoint)


def test_no_record_is_none(tmp_path: Path) -> None:
    assert read_training(tmp_path / "model.pt") is None
