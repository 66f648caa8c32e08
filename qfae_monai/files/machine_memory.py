"""Memory that the machine has left, and the refusal of what asks for more: the one place that looks."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["TooLarge", "available_memory", "check_memory"]

ALWAYS_FREE = 64 << 20  # bytes that are taken without asking
CGROUPS = Path("/sys/fs/cgroup")
FILES = {"": ("memory.max", "memory.current"), "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")}
"""Controller of a line in /proc/self/cgroup (none in version 2) -> files of its limit and of what is in use."""


class TooLarge(ValueError):
    """A file asks for more memory than the machine has."""


def check_memory(name: str | os.PathLike, needed: int, what: str) -> None:
    """Refuse what does not fit, before any of it is taken.

    Args:
        name: file that asks.
        needed: bytes, all copies counted that are there at one time.
        what: that asks, with its size, for the message.

    Raises:
        TooLarge: with what is asked for and what there is.
    """
    if needed <= ALWAYS_FREE:  # bytes; small files need no question to the system
        return
    free = available_memory()
    if free is not None and needed > free:
        raise TooLarge(
            f"{os.fspath(name)}: expected at most the {free / 1e9:.1f} GB of memory that the machine has free, "
            f"got {what}, which takes {needed / 1e9:.1f} GB"
        )


def available_memory() -> int | None:
    """Bytes that can be taken now: of the machine, and of the container that the process runs in; None if unknown."""
    found = [_machine(), *_containers()]
    known = [free for free in found if free is not None]
    return max(0, min(known)) if known else None


def _machine() -> int | None:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10  # kB to bytes
    try:  # what there is in all, where nothing tells what is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _containers() -> list[int]:
    """Free bytes in each control group around the process, its own included; page cache counts as free."""
    found = []
    for line in _lines(Path("/proc/self/cgroup")):
        controllers, path = line.split(":", 2)[1:]
        kind = "memory" if "memory" in controllers.split(",") else controllers
        if kind not in FILES:
            continue
        inner = CGROUPS / kind / path.strip("/")
        for folder in (inner, *inner.parents):  # each group's limit holds for those below it
            if not folder.is_relative_to(CGROUPS):
                break
            limit, used = (_number(folder / file) for file in FILES[kind])
            if limit is not None and used is not None:
                found.append(limit - used + _cache(folder))
    return found


def _cache(folder: Path) -> int:
    """Bytes of a control group's files that lie in memory and are given back when it is needed."""
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _number(path: Path) -> int | None:
    """None where there is no such file, or no limit in it."""
    text = "".join(_lines(path)[:1])
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
