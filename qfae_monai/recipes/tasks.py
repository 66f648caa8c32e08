"""One function over many items in parallel: joblib on this machine, or a Dask cluster."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Thread
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from qfae_monai.screen import guard_messages

__all__ = ["run_tasks", "task_backend"]

WATCH_S = 0.5  # between two looks at whether the parent is still there

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def task_backend(workers: int = 1, dask: str | None = None) -> Iterator[None]:
    """Choose where `run_tasks` runs its tasks, inside the `with` block.

    Args:
        workers: processes on this machine; 1 runs in this process.
        dask: address of a Dask scheduler, whose workers see the same paths; "local" starts a cluster of `workers`
            processes on this machine and stops it at the end; None for joblib's own processes.

    Raises:
        ValueError: when there are no workers, or Dask is asked for and is not installed.
    """
    if workers < 1:
        raise ValueError(f"expected at least 1 worker, got {workers}")
    with ExitStack() as stack:
        if dask is None:
            stack.enter_context(parallel_config(backend="loky", n_jobs=workers))
        else:
            client = _dask_client(stack, workers, dask)
            stack.enter_context(parallel_config(backend="dask", client=client, n_jobs=-1))
        yield


def run_tasks(function: Callable[[Item], Result], items: Sequence[Item], *, description: str = "") -> Iterator[Result]:
    """Results as they come, in no order; a progress bar counts them on stderr.

    Args:
        function: of one item; is sent to other processes.
        items: what there is to do.
        description: in front of the progress bar.
    """
    if not items:
        return
    tasks = (delayed(_guarded)(function, item, os.getpid()) for item in items)
    results = Parallel(return_as="generator_unordered")(tasks)  # a slow series holds up no other
    try:
        yield from tqdm(results, total=len(items), desc=description, unit="series")
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tasks that are cancelled: whoever ended the run knows
            results.close()  # no worker is left once this returns


def _guarded(function: Callable[[Item], Result], item: Item, owner: int) -> Result:
    """The function, in a process whose warnings and logs quote names as those of a command do, and that ends with it.

    Args:
        function: of one item.
        item: what there is to do.
        owner: process that hands out the tasks.
    """
    guard_messages()
    if os.getppid() == owner:  # a child of it; Dask's workers elsewhere end with their scheduler
        _end_with(owner)
    return function(item)


@cache
def _end_with(owner: int) -> None:
    """Once in a worker: end it soon after the process that started it, also a killed one.

    Joblib's workers would go on with what they were given, and then wait five minutes for more: a run that takes over
    the output in the meantime would not be alone in it.
    """

    def watch() -> None:
        while os.getppid() == owner:
            time.sleep(WATCH_S)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _dask_client(stack: ExitStack, workers: int, dask: str) -> Any:
    try:
        from distributed import Client, LocalCluster  # noqa: PLC0415  (an optional dependency)
    except ImportError as error:
        raise ValueError(
            "expected Dask for --dask, got none installed: pip install 'dask[distributed]' adds it"
        ) from error
    if dask != "local":
        return stack.enter_context(Client(dask))
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    return stack.enter_context(Client(stack.enter_context(cluster)))
