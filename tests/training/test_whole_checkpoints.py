"""A run that is killed or fails leaves what it had, and nothing that looks finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from qfae_monai.training import WholeCheckpoints


class Counter:
    """Something that is saved: it knows how often it was."""

    def __init__(self) -> None:
        self.saved = 0

    def state_dict(self) -> dict[str, int]:
        self.saved += 1
        return {"saved": self.saved}


def run(folder: Path, *, epochs: int, fails_at: int = 0, **settings: Any) -> None:
    def step(engine: Engine, batch: Any) -> None:
        if engine.state.epoch == fails_at:
            raise RuntimeError("a batch that cannot be trained on")

    engine = Engine(step)
    WholeCheckpoints(folder, {"counter": Counter()}, **settings).attach(engine)
    engine.run([0, 1], max_epochs=epochs)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_last_ones_are_kept_and_the_final_one_comes_last(tmp_path: Path) -> None:
    run(tmp_path, epochs=7, save_interval=2, n_saved=2)
    assert names(tmp_path) == ["model.pt", "resume_checkpoint_epoch=4.pt", "resume_checkpoint_epoch=6.pt"]
    assert torch.load(tmp_path / "model.pt", weights_only=True) == {"counter": {"saved": 4}}


def test_what_earlier_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = ("resume_checkpoint_epoch=9.pt.bak", "other_checkpoint_epoch=1.pt", "resume_checkpoint_epoch=x.pt", "a.part")
    left = (
        "resume_checkpoint_epoch=2.pt",
        "resume_checkpoint_epoch=300.pt",
        "model.part",
        "resume_checkpoint_epoch=4.part",
    )
    for name in (*kept, *left):
        (tmp_path / name).write_bytes(b"left")
    run(tmp_path, epochs=1, save_interval=1)
    assert set(names(tmp_path)) == {*kept, "model.pt", "resume_checkpoint_epoch=1.pt"}


def test_a_run_that_saves_none_of_its_own_leaves_the_latest(tmp_path: Path) -> None:
    for epoch in (3, 20):
        (tmp_path / f"resume_checkpoint_epoch={epoch}.pt").write_bytes(b"left")
    run(tmp_path, epochs=1, save_interval=5)
    assert names(tmp_path) == ["model.pt", "resume_checkpoint_epoch=20.pt"]


def test_a_run_that_fails_leaves_no_final_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a batch"):
        run(tmp_path, epochs=3, fails_at=2, save_interval=1)
    assert names(tmp_path) == ["resume_checkpoint_epoch=1.pt"]


def test_an_interrupted_write_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, count = torch.save, iter(range(10))

    def interrupted(content: Any, path: Path) -> None:
        if next(count) == 1:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        save(content, path)

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, epochs=3, save_interval=1)
    assert [name for name in names(tmp_path) if name.endswith(".pt")] == ["resume_checkpoint_epoch=1.pt"]
    torch.load(tmp_path / "resume_checkpoint_epoch=1.pt", weights_only=True)


@pytest.mark.parametrize("settings", [{"save_interval": 0}, {"save_interval": 1, "n_saved": 0}])
def test_bad_numbers_are_refused(settings: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1, got"):
        WholeCheckpoints(tmp_path, {}, **settings)  # type: ignore[arg-type]
