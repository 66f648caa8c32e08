"""Files, series and folders that are not read, each with its reason: nothing is skipped silently."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LeftAside", "by_kind", "counted", "counted_kinds", "lines_of"]


@dataclass(frozen=True)
class LeftAside:
    """A file, series or folder that is not read.

    Attributes:
        path: of it, or of its first file.
        kind: what it is or lacks, in a few words that others share.
        reason: in one sentence.
        files: how many it stands for.
    """

    path: Path
    kind: str
    reason: str
    files: int = 1


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "scan"), counted(2, "scan")
    ('1 scan', '2 scans')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def lines_of(aside: Iterable[LeftAside]) -> list[str]:
    """One line for each kind: how many files, and the reason."""
    lines = []
    for (kind, reason), several in by_kind(aside).items():
        count = sum(one.files for one in several)
        lines.append(f"left aside: {kind}, {counted(count, 'file')}: {reason}")
    return lines


def counted_kinds(aside: Iterable[LeftAside]) -> list[dict[str, str | int]]:
    """Kinds with their reasons and numbers of files, without names."""
    return [
        {"kind": kind, "reason": reason, "files": sum(one.files for one in several)}
        for (kind, reason), several in by_kind(aside).items()
    ]


def by_kind(aside: Iterable[LeftAside]) -> dict[tuple[str, str], list[LeftAside]]:
    """Kind and reason, in order, with what they stand for."""
    kinds: dict[tuple[str, str], list[LeftAside]] = {}
    for one in aside:
        kinds.setdefault((one.kind, one.reason), []).append(one)
    return dict(sorted(kinds.items()))
