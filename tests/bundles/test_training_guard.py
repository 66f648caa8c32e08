"""Training through the bundle: what goes wrong ends it or is said on the screen, in the record, card and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.files import LOCK
from qfae_monai.model.signature import plain_errors
from qfae_monai.training.training_record import read_training
from tests.bundles.conftest import TINY, run_bundle


class Exploding(torch.optim.Adam):
    """Adam that loses its way in the second epoch, which has 9 steps as the first."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        found = super().step(closure)
        if self.steps == 12:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(torch.nan)
        return found


def test_a_sound_training_records_how_it_was_made(trained: Path) -> None:
    record = read_training(trained / "models" / "model.pt")
    assert record is not None
    assert record["format"] == "float32"  # the demo's figures are float32's on every machine
    assert record["held_out"]["images"] == 2 * 18  # slices 3 to 20 of two held-out phantoms
    assert record["training_images"] == 4 * 18
    assert (trained / "docs" / "README.md").read_text().startswith("# Model card")


def test_a_model_that_learned_nothing_is_called_that(
    cohort: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    places: dict[str, Any] = {"dataset_dir": cohort, "model_dir": tmp_path / "model"}
    run_bundle(*TINY, **places, max_epochs=1, val_interval=1, learning_rate=1e-12)
    expected = "no better than the mean training image"
    screen = capfd.readouterr()
    assert expected in screen.out + screen.err
    assert expected in (tmp_path / "model" / "docs" / "README.md").read_text()
    run_bundle(*TINY, "evaluate", run_id="evaluating", **places, output_dir=tmp_path / "out", rivals=None)
    assert expected in json.loads((tmp_path / "out" / "evaluation.json").read_text())["warnings"][0]
    assert expected in (tmp_path / "out" / "report.html").read_text()


def test_a_run_that_becomes_nan_names_step_and_checkpoint(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"iteration 13 \(epoch 2\).*resume_checkpoint_epoch=1\.pt"), plain_errors():
        run_bundle(
            *TINY,
            dataset_dir=cohort,
            model_dir=tmp_path,
            max_epochs=3,
            val_interval=1,
            **{"optimizer::_target_": f"{__name__}.Exploding"},
        )
    assert {path.name for path in tmp_path.iterdir()} == {"training", LOCK}  # no model, nor half of one
    assert [path.name for path in (tmp_path / "training").glob("resume*")] == ["resume_checkpoint_epoch=1.pt"]


@pytest.mark.cpu
def test_the_same_seed_data_format_and_threads_give_the_same_bytes(trained: Path, cohort: Path, tmp_path: Path) -> None:
    run_bundle(*TINY, dataset_dir=cohort, model_dir=tmp_path, max_epochs=2, val_interval=1)
    hashes = [json.loads((folder / "model.json").read_text())["files"] for folder in (trained, tmp_path)]
    assert {name for name in hashes[0] if hashes[0][name] != hashes[1].get(name)} <= {
        "models/training.json",
        "configs/training.yaml",
    }  # its seconds; what was asked for beside
    for name in ("models/model.pt", "configs/inference.yaml", "docs/README.md"):
        assert (trained / name).read_bytes() == (tmp_path / name).read_bytes()
