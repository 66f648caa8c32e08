"""Positions that repeat in a series: the time points, echoes, stacks or segments that they hold, and what tells so."""

from __future__ import annotations

from typing import Any

from qfae_monai.data.dicom_frames import Frame
from qfae_monai.data.dicom_header import VOLUME_KEYWORDS

__all__ = ["volumes_of"]


def volumes_of(groups: list[list[Frame]]) -> tuple[str, list[list[Frame]]] | None:
    """What tells frames at one position apart, and the volumes it makes; None where there is one volume."""
    depth = max(map(len, groups))
    if depth == 1 or _same_object(groups):
        return None
    candidates = ["dimension index", "stack and time", "segment", *VOLUME_KEYWORDS]
    for key in candidates:
        volumes: dict[Any, list[Frame]] = {}
        for group in groups:
            values = [frame.keys.get(key) for frame in group]
            if None in values or len(set(values)) < len(values):
                break
            for value, frame in zip(values, group, strict=True):
                volumes.setdefault(value, []).append(frame)
        else:
            if len(volumes) == depth and min(map(len, volumes.values())) * 2 >= len(groups):
                return key, [volumes[value] for value in sorted(volumes, key=_natural)]
    if all(len(group) == depth for group in groups):
        return "instance number", [[group[number] for group in groups] for number in range(depth)]
    return None


def _natural(value: Any) -> tuple[Any, ...]:
    """Order of numbers where they are numbers, else of text."""
    parts = value if isinstance(value, tuple) else (value,)
    try:
        return (0, *(float(part) for part in parts))
    except (TypeError, ValueError):
        return (1, *map(str, parts))


def _same_object(groups: list[list[Frame]]) -> bool:
    """Whether one DICOM object is there more than once."""
    names = [
        (str(frame.file.dataset.get("SOPInstanceUID")), frame.index)
        for group in groups
        for frame in group
        if frame.file.dataset.get("SOPInstanceUID")
    ]
    return len(set(names)) < len(names)
