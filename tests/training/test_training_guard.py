"""A training that becomes NaN ends with iteration and last good checkpoint; a tenfold rise is told of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch.nn import Parameter

from qfae_monai.training import TrainingGuard, WholeCheckpoints


class Weights:
    """What is saved."""

    def state_dict(self) -> dict[str, int]:
        return {}


def run(
    folder: Path, losses: Sequence[float], *, epochs: int = 1, interval: int = 4, weight: float = 1.0
) -> TrainingGuard:
    """An engine whose losses are these, epoch by epoch, guarded and saved at the end of each epoch."""
    values = torch.tensor(losses, requires_grad=True)
    engine = Engine(lambda engine, batch: {"loss": values[engine.state.iteration - 1]})
    guard = TrainingGuard([Parameter(torch.tensor([weight]))], folder, interval=interval)
    guard.attach(engine)
    WholeCheckpoints(folder, {"model": Weights()}, save_interval=1).attach(engine)
    engine.run(range(len(losses) // epochs), max_epochs=epochs)
    return guard


# [losses of two epochs, the iteration that is named]
NOT_FINITE: list[list[Any]] = [
    [[1.0, 1.0, 1.0, math.nan, 1.0, 1.0], 4],
    [[1.0, 1.0, 1.0, 1.0, 1.0, math.inf], 6],
    [[1.0, 1.0, 1.0, 1.0, -math.inf, math.nan], 5],
]


@pytest.mark.parametrize(("losses", "iteration"), NOT_FINITE)
def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, losses: list[float], iteration: int) -> None:
    with pytest.raises(ValueError, match=rf"at iteration {iteration} \(epoch 2\).*resume_checkpoint_epoch=1\.pt"):
        run(tmp_path, losses, epochs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["resume_checkpoint_epoch=1.pt"]


def test_before_the_first_checkpoint_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at iteration 1 .*the loss is nan.*no checkpoint was saved before"):
        run(tmp_path, [math.nan, 1.0])


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights are not finite"):
        run(tmp_path, [1.0, 1.0], weight=math.nan)
    assert not list(tmp_path.iterdir())


# [losses read in pairs, how many warnings]
RISES: list[list[Any]] = [
    [[1.0, 1.0, 0.1, 0.1, 0.9, 0.9], 0],
    [[1.0, 1.0, 0.1, 0.1, 1.1, 1.1], 1],
    [[0.1, 0.1, 1.1, 1.1, 2.0, 2.0], 1],
    [[1.0, 1.0, 0.1, 0.1, 0.1, 1.5], 0],
]


@pytest.mark.parametrize(("losses", "count"), RISES)
def test_a_tenfold_rise_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, losses: list[float], count: int
) -> None:
    guard = run(tmp_path, losses, interval=2)
    assert len(guard.warnings) == count
    assert sum("rose from" in record.getMessage() for record in caplog.records) == count


def test_losses_are_read_at_intervals_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    tolist = torch.Tensor.tolist

    def counted(losses: torch.Tensor) -> Any:
        read.append(len(losses))
        return tolist(losses)

    monkeypatch.setattr(torch.Tensor, "tolist", counted)
    run(tmp_path, [1.0] * 10, interval=4)
    assert read == [4, 4, 2]
