"""A checkpoint to resume from is tensors and plain values, or it is refused without a word on how to run it."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from qfae_monai.training import ResumeCheckpoint
from qfae_monai.weights import read_checkpoint


class Command:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("unpickled",)


def test_a_pickle_is_refused_and_no_advice_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "resume.pt"
    torch.save({"model": Command()}, path)
    engine = Engine(lambda *_: None)
    ResumeCheckpoint(load_path=str(path), load_dict={"model": nn.Linear(1, 1)}).attach(engine)
    for use in (lambda: engine.run([0]), lambda: read_checkpoint(path)):
        with pytest.raises(ValueError, match=r"resume\.pt: .*\(posix\.mkdir\); nothing of it was run") as refused:
            use()
        told = "".join(traceback.format_exception(refused.value))
        assert "weights_only=False" not in told.replace("weights_only=False,", "")
        assert "trust" not in told
    assert not (tmp_path / "unpickled").exists()


def test_what_a_training_wrote_is_loaded(tmp_path: Path) -> None:
    saved, loaded = nn.Linear(1, 1), nn.Linear(1, 1)
    torch.save({"model": saved.state_dict()}, tmp_path / "resume.pt")
    engine = Engine(lambda *_: None)
    ResumeCheckpoint(load_path=str(tmp_path / "resume.pt"), load_dict={"model": loaded}).attach(engine)
    engine.run([0])
    assert torch.equal(saved.weight, loaded.weight)
