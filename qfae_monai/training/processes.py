"""Processes of a training, one or many that torchrun, SLURM or Kubernetes started: joining, and shares of the work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

import torch
from monai.data import DistributedSampler
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, RandomSampler, Sampler

from qfae_monai.training.batches import whole_batches
from qfae_monai.training.views import KeptViews

# Objects gathered from all processes; MONAI gathers tensors and strings alone.


def gather(part: Any) -> list[Any]:
    """One picklable object of each rank, in the order of ranks; of a single process, its own alone."""
    if not _distributed():
        return [part]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return parts


def is_writer() -> bool:
    """Whether this process writes the files of a run: rank 0, or the only one."""
    return not _distributed() or torch.distributed.get_rank() == 0


def world_size() -> int:
    """Number of processes."""
    return torch.distributed.get_world_size() if _distributed() else 1


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


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
    if backend == "nccl":
        torch.cuda.set_device(local_rank)


def leave_processes() -> None:
    """Leave the process group, if this process is part of one."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def replicated(network: nn.Module, device: torch.device) -> nn.Module:
    """A network whose gradients all processes share; a process alone trains the network itself."""
    if not torch.distributed.is_initialized():
        return network
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)


def training_sampler(dataset: Dataset, batch_size: int, seed: int) -> Sampler:
    """A new order in each epoch, of whole batches; of several processes each draws its own share.

    Of `KeptViews` each image comes with one of its views, which torch's generator draws as an epoch begins.

    Raises:
        ValueError: if there are not enough images for one batch.
    """
    kept = isinstance(dataset, KeptViews)
    if torch.distributed.is_initialized():
        # equal shares: a rank that ended early would keep the others waiting
        shares = _SharedViewSampler if kept else DistributedSampler
        return shares(dataset, even_divisible=True, shuffle=True, seed=seed)
    sampler = _ViewSampler if kept else RandomSampler
    return sampler(dataset, num_samples=whole_batches(len(dataset), batch_size))  # type: ignore[arg-type]


class _ViewSampler(RandomSampler):
    def __iter__(self) -> Iterator[Any]:
        return _with_views(super().__iter__(), cast(KeptViews, self.data_source).views)


class _SharedViewSampler(DistributedSampler):
    def __iter__(self) -> Iterator[Any]:
        return _with_views(super().__iter__(), cast(KeptViews, self.dataset).views)


def _with_views(images: Iterable[int], views: int) -> Iterator[tuple[int, int]]:
    """(image, view), views drawn at random."""
    chosen = list(images)
    return zip(chosen, torch.randint(views, (len(chosen),)).tolist(), strict=True)


def shared_sampler(dataset: Dataset) -> Sampler | None:
    """This process's share of a data set in its own order; None for a process alone, which takes all."""
    if not torch.distributed.is_initialized():
        return None
    return DistributedSampler(dataset, even_divisible=False, shuffle=False)  # no item twice: each is counted once


def check_shares(items: int, *, each: int = 1, needed: str = "", source: str | os.PathLike = "") -> None:
    """Refuse a run without items, and a process group in which one has none: the others would wait for it without end.

    Args:
        items: slices or cases in all.
        each: least number for one process.
        needed: what the items are, where a run is nothing without them; empty where it may have none.
        source: file or folder that names them.

    Raises:
        ValueError: when there are none and some are needed, or fewer than `each` for each process.
    """
    if needed and not items:
        raise ValueError(f"{source}: expected {needed}, got none")
    if not torch.distributed.is_initialized():
        return
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
