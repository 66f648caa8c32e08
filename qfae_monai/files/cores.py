"""Cores that a process may use beside its own work."""

from __future__ import annotations

import os

__all__ = ["spare_cores"]


def spare_cores() -> int:
    """One less than the cores that this process may use, at least 1: the network has a thread of its own."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, available - 1)
