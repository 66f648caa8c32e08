"""A process that cannot join says what is missing, and does not wait without end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.training import check_shares, join_processes
from tests.forked import in_process

TORCHRUN = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400"}
BAD: list[list[Any]] = [
    [{"RANK": None, "LOCAL_RANK": None}, "started by torchrun.*missing: \\['RANK', 'LOCAL_RANK'\\]"],
    [{"RANK": "2"}, "RANK from 0 to 1 with WORLD_SIZE 2, got 2"],
    [{"WORLD_SIZE": "two"}, "WORLD_SIZE: expected a number, got 'two'"],
]


@pytest.mark.parametrize(("changed", "message"), BAD)
def test_wrong_variables_are_refused(changed: dict[str, str | None], message: str) -> None:
    environment = {key: value for key, value in {**TORCHRUN, **changed}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        join_processes("gloo", environment)


def test_more_processes_than_gpus_are_refused() -> None:
    with pytest.raises(ValueError, match="got LOCAL_RANK 99 on a machine with"):
        join_processes("nccl", {**TORCHRUN, "LOCAL_RANK": "99"})


def test_a_run_without_what_it_needs_is_refused() -> None:
    check_shares(0)
    check_shares(1, needed="held-out normal images")
    with pytest.raises(ValueError, match=r"^a\.json: expected held-out normal images, got none$"):
        check_shares(0, needed="held-out normal images", source="a.json")


def test_processes_without_work_are_refused(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        check_shares(1)
        check_shares(8, each=8)
        with pytest.raises(ValueError, match="expected at least 8 slices or cases for 1 processes, 8 each, got 7"):
            check_shares(7, each=8)
    finally:
        torch.distributed.destroy_process_group()


def join() -> None:
    join_processes("gloo", os.environ, timeout_s=2)


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_missing_process_is_an_error_in_bounded_time(rank: str, tmp_path: Path) -> None:
    environment = {**TORCHRUN, "RANK": rank, "MASTER_PORT": f"2948{rank}"}
    process = in_process(join, tmp_path / "printed.log", environment)
    process.join(120)
    assert process.exitcode == 1
    expected = f"TimeoutError: rank {rank}: expected 2 processes at 127.0.0.1:2948{rank} within 2 s"
    assert expected in (tmp_path / "printed.log").read_text()
