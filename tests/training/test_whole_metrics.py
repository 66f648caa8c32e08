"""Metrics are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from ignite.engine import Engine, Events

from qfae_monai.files import whole
from qfae_monai.training import WholeMetrics


def run(folder: Path, value: float) -> None:
    engine = Engine(lambda engine, batch: None)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.state.metrics.update(auroc=value))
    WholeMetrics(str(folder), metrics="*", delimiter=",").attach(engine)
    engine.run([0])


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, 0.5)
    before = (tmp_path / "metrics.csv").read_text()
    assert "auroc,0.5" in before

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole.os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        run(tmp_path, 0.25)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
    assert (tmp_path / "metrics.csv").read_text() == before
