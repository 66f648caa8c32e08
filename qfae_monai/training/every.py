"""Interval for handlers: ignite's event filter as a function that configurations can name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def every(interval: int) -> Callable[[Any, int], bool]:
    """Event filter of every `interval`-th event, for MONAI's `StatsHandler(iteration_log=...)`.

    Raises:
        ValueError: if `interval` is below 1.

    >>> [event for event in range(1, 7) if every(3)(None, event)]
    [3, 6]
    """
    if interval < 1:
        raise ValueError(f"interval must be at least 1, got {interval}")
    return lambda engine, event: event % interval == 0
