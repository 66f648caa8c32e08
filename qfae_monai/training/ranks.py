"""Objects of all processes at one, for what MONAI's gathering of tensors and strings does not cover."""

from __future__ import annotations

from typing import Any

import torch


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
