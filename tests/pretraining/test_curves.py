"""Curves: a row per epoch, the evaluator's figures where it ran, and no gap after a resumption."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from ignite.engine import Engine

from qfae_monai.pretraining import Curves


def run(curves: Curves, epochs: int, start: int = 0) -> None:
    trainer = Engine(lambda engine, batch: {"loss": torch.tensor(float(engine.state.epoch + batch))})
    curves.attach(trainer)
    if start:
        trainer.load_state_dict({"epoch": start, "max_epochs": epochs, "epoch_length": 2})
    trainer.run([0, 1], max_epochs=epochs)


def test_rows_go_on_where_a_run_is_resumed(tmp_path: Path) -> None:
    evaluator: Any = SimpleNamespace(state=SimpleNamespace(metrics={"val_loss": 0.25}))
    whole = Curves(tmp_path / "whole" / "curves.csv", evaluator=evaluator, interval=2)
    run(whole, 3)
    text = (tmp_path / "whole" / "curves.csv").read_text()
    assert text == "epoch,train_loss,val_loss\n1,1.5,\n2,2.5,0.25\n3,3.5,\n"
    first, second = (Curves(tmp_path / "parts.csv", evaluator=evaluator, interval=2) for _ in range(2))
    run(first, 2)
    second.load_state_dict(first.state_dict())
    run(second, 3, start=2)
    assert (tmp_path / "parts.csv").read_text() == text
