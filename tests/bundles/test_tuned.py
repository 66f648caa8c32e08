"""`--tuned true` takes what was measured on this machine, and says so where nothing was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from qfae_monai.cli import app
from qfae_monai.training import tuning
from tests.bundles.conftest import TINY, run_bundle


def test_a_training_hands_over_batches_of_the_measured_size(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "TUNED_FILE", tmp_path / "tuned.json")
    monkeypatch.setattr(tuning, "images_per_second", lambda step, sizes, device: {2: 9.0, 8: 5.0})

    def train(folder: str) -> None:
        run_bundle(*TINY, dataset_dir=cohort, model_dir=tmp_path / folder, max_epochs=1, val_interval=1, tuned=True,
                   device="$torch.device('cpu')")  # fmt: skip

    with pytest.raises(RuntimeError) as error:
        train("before")
    assert "run `qfae tune`" in str(error.value.__cause__)
    found = CliRunner().invoke(app, ["tune", "--preset", "tiny"], catch_exceptions=False)
    assert "2 at a time: 9.00 images/s, the best" in found.output
    train("after")
    (checkpoint,) = (tmp_path / "after" / "training").glob("resume*.pt")
    state = torch.load(checkpoint, weights_only=True)
    parts = state["trainer"]["epoch_length"]
    assert parts == 4 * int(state["optimizer"]["state"][0]["step"])  # batches of 8 in 4 parts of 2
