"""Processes that start at once: forked from a server that has imported what they need.

A new interpreter imports torch and MONAI for many seconds before it does what a test looks at. Where the command line
is what is tested, start that.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

Work = Callable[[], object]
"""A function of a module, or a `functools.partial` of one, as pickle asks for."""

TIMEOUT_S = 540  # of all processes; nothing here takes a tenth of it on an idle machine
PRELOADED = [
    "tests.bundles.conftest",
    "qfae_monai.evaluation.case_tables",
    "qfae_monai.training",
    "qfae_monai.model.training",
]
"""Modules that the server imports before it forks; also workers of data loaders start from it."""
if sys.platform == "win32":
    _SERVER = multiprocessing.get_context("spawn")
else:
    _SERVER = multiprocessing.get_context("forkserver")


def in_process(work: Work, log: Path, environment: Mapping[str, str] | None = None) -> BaseProcess:
    """A process that does work with one thread, started; what it prints goes to log."""
    process = _SERVER.Process(
        target=_do, args=(work, str(log), dict(environment or {}), multiprocessing.get_start_method())
    )
    process.start()
    return process


def exit_code(work: Work, log: Path) -> int | None:
    """How a process of its own ended that did work; below 0 is the signal that ended it."""
    process = in_process(work, log)
    process.join(TIMEOUT_S)
    return process.exitcode


def in_two_processes(work: Work, logs: Path, *, nodes: int = 1) -> None:
    """Do work in two processes that find the variables which torchrun sets.

    Args:
        work: what each of them does.
        logs: folder for what they print.
        nodes: hosts that they believe to be on, 1 or 2.
    """
    logs.mkdir(parents=True, exist_ok=True)
    files = [logs / f"rank_{rank}.log" for rank in range(2)]
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": str(2 // nodes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _port()}
    places = [{"RANK": str(rank), "LOCAL_RANK": str(rank % (2 // nodes)), **world} for rank in range(2)]
    started = [in_process(work, file, place) for file, place in zip(files, places, strict=True)]
    try:
        for process in started:
            process.join(TIMEOUT_S)
        codes = [process.exitcode for process in started]
    finally:
        for process in started:
            process.kill()  # nothing where it has ended
    assert codes == [0, 0], "\n".join(file.read_text()[-6000:] for file in files)


def _do(work: Work, log: str, environment: dict[str, str], start_method: str) -> None:
    with open(log, "wb", buffering=0) as stream:  # what the process inherited is the output of some other test
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    os.environ.update(environment)
    multiprocessing.set_start_method(start_method, force=True)  # of data loaders: as in a process begun otherwise
    torch.set_num_threads(1)
    work()


def _port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])
