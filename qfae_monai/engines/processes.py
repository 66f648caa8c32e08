"""One process becomes one of many: what torchrun (or SLURM, or Kubernetes) said is checked, then the process joins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import torch

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def join_processes(backend: str, environment: Mapping[str, str], *, timeout_s: float = 600.0) -> None:
    """Join the process group that the environment describes, or say why that failed, within a bounded time.

    Args:
        backend: "nccl" for GPUs, "gloo" for CPUs.
        environment: variables of the process, as torchrun sets them.
        timeout_s: seconds to wait for the other processes, here and (gloo) in each exchange with them. A process that
            finds nobody to talk to may try twice.

    Raises:
        ValueError: when a variable is missing or no number, the rank is none of the world's, or the machine has too few
            GPUs for its processes.
        TimeoutError: when not all processes came in time.
    """
    missing = [name for name in VARIABLES if name not in environment]
    if missing:
        raise ValueError(f"expected to be started by torchrun, which sets {', '.join(VARIABLES)}; missing: {missing}")
    rank, world_size, local_rank = (_number(environment, name) for name in VARIABLES[:3])
    if not 0 <= rank < world_size:
        raise ValueError(f"expected a RANK from 0 to {world_size - 1} with WORLD_SIZE {world_size}, got {rank}")
    if backend == "nccl" and local_rank >= torch.cuda.device_count():
        raise ValueError(
            f"expected at most one process a GPU, got LOCAL_RANK {local_rank} on a machine with "
            f"{torch.cuda.device_count()} GPUs: start fewer (--nproc_per_node)"
        )
    try:
        torch.distributed.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    except (torch.distributed.DistError, RuntimeError) as error:
        address = f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}"
        raise TimeoutError(
            f"rank {rank}: expected {world_size} processes at {address} within {timeout_s:g} s, got fewer "
            f"({str(error).splitlines()[0]}). Do all nodes run, with the same WORLD_SIZE, and can they reach {address}?"
        ) from error


def check_shares(items: int, *, each: int = 1) -> None:
    """Refuse a process group in which one would have nothing to do: the others would wait for it without end.

    Args:
        items: slices or cases in all.
        each: least number for one process.

    Raises:
        ValueError: when there are fewer than that for each process.
    """
    processes = torch.distributed.get_world_size()
    if items < each * processes:
        raise ValueError(
            f"expected at least {each * processes} slices or cases for {processes} processes, {each} each, got "
            f"{items}: start fewer processes, or lower batch_size"
        )


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise ValueError(f"{name}: expected a number, got {environment[name]!r}") from None
