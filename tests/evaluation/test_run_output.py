"""A run of the bundle that cannot be finished is not started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qfae_monai.evaluation import begin_output, end_output
from qfae_monai.files import LOCK
from qfae_monai.model.signature import plain_errors
from tests.bundles.conftest import run_bundle
from tests.files.test_lock import another

RUNS = {
    "evaluating": ("train", "evaluate"),
    "calibrating": ("train", "evaluate", "calibrate"),
    "run": ("inference",),
    "training": ("train",),
    "pretraining_mae": ("train", "pretrain", "pretrain_mae", "presets/pretrain_tiny"),
    "pretraining_dino": ("train", "pretrain", "pretrain_dino", "presets/pretrain_tiny"),
}
TRAININGS = [run_id for run_id in RUNS if "training" in run_id]


@pytest.mark.parametrize("rates", [{"a": 0.0}, {"a": 1.0}, {"a": 0.5, "b": float("nan")}, {"a": -1.0}])
def test_rates_are_checked_by_name(rates: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{list(rates)[-1]}: expected a rate above 0 and below 1, got"):
        begin_output(tmp_path / "out", **rates)
    assert not (tmp_path / "out").exists()


def test_an_output_is_held_from_begin_to_end(tmp_path: Path) -> None:
    begin_output(tmp_path, rate=0.5)
    assert (tmp_path / LOCK).exists()
    end_output(tmp_path)
    assert not (tmp_path / LOCK).exists()
    with another(tmp_path), pytest.raises(ValueError, match="no other run in this output"):
        begin_output(tmp_path)


@pytest.mark.parametrize(
    ("run_id", "settings"),
    [
        ("evaluating", {"false_positive_rate": 0.0}),
        ("evaluating", {"pixel_false_positive_rate": 1.0}),
        ("evaluating", {"specificity": 1.0}),
        ("run", {"pixel_false_positive_rate": 0.0}),
        ("evaluating", {}),
        ("calibrating", {}),
        ("run", {}),
        *((run_id, {}) for run_id in TRAININGS),
    ],
)
def test_nothing_is_read_for_a_run_that_cannot_be_finished(
    run_id: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Neither data nor checkpoint exist: the output is looked at before them. Without a wrong rate it is a file."""
    (tmp_path / "out").write_text("x")
    places = {"dataset_dir": str(tmp_path / "nothing"), "ckpt_path": str(tmp_path / "out" / "model.pt")}
    if run_id in TRAININGS:
        places |= dict.fromkeys(("ckpt_dir", "model_dir"), str(tmp_path / "out"))
    reason = "expected a rate above 0 and below 1" if settings else "expected a folder that can be written to"
    with pytest.raises((ValueError, OSError), match=reason), plain_errors():
        run_bundle(*RUNS[run_id], run_id=run_id, output_dir=str(tmp_path / "out"), **places, **settings)


@pytest.mark.parametrize("run_id", TRAININGS)
def test_a_second_training_into_the_same_folder_is_refused(run_id: str, tmp_path: Path) -> None:
    """Before it reads anything: there are no data. Once the first one is killed, its lock is nobody's."""
    places = dict.fromkeys(("ckpt_dir", "model_dir"), str(tmp_path / "model"))
    settings = {"dataset_dir": str(tmp_path / "nothing"), **places}
    with another(tmp_path / "model") as first:
        with pytest.raises(ValueError, match="model: expected no other run in this output"), plain_errors():
            run_bundle(*RUNS[run_id], run_id=run_id, **settings)
        first.kill()
        first.wait()
        assert (tmp_path / "model" / LOCK).exists()
        with pytest.raises(FileNotFoundError, match="nothing"), plain_errors():
            run_bundle(*RUNS[run_id], run_id=run_id, **settings)
    end_output(tmp_path / "model")
