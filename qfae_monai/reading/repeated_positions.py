"""Positions that repeat in a series: the volumes (time points, echoes, b-values, segments) that they hold, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from qfae_monai.reading.dicom_elements import ORDER_KEYWORDS, VOLUME_KEYWORDS
from qfae_monai.reading.dicom_frames import Frame

__all__ = ["Volume", "volumes_of"]

MEANINGS = ("dimension index", "stack and time", "segment", *VOLUME_KEYWORDS)
NAMES = {
    "EchoNumbers": "echo",
    "EchoTime": "te",
    "InversionTime": "ti",
    "DiffusionBValue": "b",
    "TriggerTime": "trigger",
    "TemporalPositionIdentifier": "time",
    "ImageType": "type",
    "segment": "segment",
}
WORDS = {
    "echo": "echo {}",
    "te": "TE {} ms",
    "ti": "TI {} ms",
    "b": "b = {}",
    "trigger": "trigger {} ms",
    "time": "time point {}",
    "type": "{}",
    "segment": "segment {}",
}
TYPES = {"M": "magnitude", "P": "phase", "R": "real", "I": "imaginary"}
FEWEST = 2  # complete volumes from which one that has fewer slices is an interrupted one and no repeated slice


@dataclass(frozen=True)
class Volume:
    """Frames of one volume among several.

    Attributes:
        frames: one at each position, in any order.
        tells: what tells it from the others, name -> value, such as `echo`: 1; empty where only its number does.
    """

    frames: tuple[Frame, ...]
    tells: dict[str, Any] = field(default_factory=dict)

    def words(self, number: int, count: int, values: dict[str, int]) -> str:
        """For people: what tells it from the others, and its number.

        Args:
            number: from 1.
            count: of volumes.
            values: how many each of `tells` has in the series.
        """
        known = [
            WORDS[name].format(_text(value)) + (f" of {values[name]}" if name == "echo" else "")
            for name, value in self.tells.items()
        ]
        return f"volume {number} of {count}" + (f": {', '.join(known)}" if known else "")


def volumes_of(groups: list[list[Frame]]) -> list[Volume] | None:
    """Volumes of positions that repeat.

    Args:
        groups: frames that lie in one plane together.

    Returns:
        All in their order, those among them that have fewer slices than the fullest; None where no element tells frames
        at one position apart as whole volumes.
    """
    depth = max(map(len, groups))  # frames at the position that has most
    if depth == 1:
        return None
    varying = [key for key in MEANINGS if any(len({f.keys.get(key) for f in group}) > 1 for group in groups)]
    candidates = [(key,) for key in (*varying, *ORDER_KEYWORDS)]
    for keys in [*candidates, tuple(varying)]:
        fewest = FEWEST if keys[0:1] and keys[0] in ORDER_KEYWORDS else 1
        if keys and (found := _split(groups, keys, fewest)) is not None:
            return _told(found, varying)
    ordered = _by_order(groups, depth)
    return None if ordered is None else _told(ordered, varying)


def _split(groups: list[list[Frame]], keys: tuple[str, ...], fewest: int) -> list[list[Frame]] | None:
    """Frames by the values of keys, in their order; None where values repeat at a position or do not make volumes.

    Where fewer volumes than `fewest` are complete, the others have at least half of the slices: one image more at a
    position is no volume.
    """
    volumes: dict[tuple[Any, ...], list[Frame]] = {}
    for group in groups:
        labels = [tuple(frame.keys.get(key) for key in keys) for frame in group]
        if any(value is None for one in labels for value in one) or len(set(labels)) < len(labels):
            return None
        for one, frame in zip(labels, group, strict=True):
            volumes.setdefault(one, []).append(frame)
    sizes = [len(frames) for frames in volumes.values()]  # slices of each volume
    full = max(sizes)
    complete = sizes.count(full)  # volumes
    # what drifts from slice to slice, such as a time, makes many small ones
    if len(volumes) < FEWEST or complete * 2 < len(volumes) or full * 2 < len(groups):
        return None
    if complete < fewest and min(sizes) * 2 < full:
        return None
    return [volumes[one] for one in sorted(volumes, key=_natural)]


def _by_order(groups: list[list[Frame]], depth: int) -> list[list[Frame]] | None:
    """Frames by their rank at their position; where positions have different numbers, volume must follow volume."""
    ranked = [sorted(group, key=lambda frame: (_trigger(frame), frame.number)) for group in groups]
    volumes = [[group[rank] for group in ranked if rank < len(group)] for rank in range(depth)]
    if len({frame.number for group in groups for frame in group}) < sum(map(len, groups)):
        return None
    if all(len(group) == depth for group in groups):
        return volumes
    numbers = [sorted(frame.number for frame in volume) for volume in volumes]
    follows = all(before[-1] < after[0] for before, after in pairwise(numbers))
    complete = sum(len(volume) == len(groups) for volume in volumes)
    return volumes if follows and complete >= FEWEST and depth - complete == 1 else None


def _trigger(frame: Frame) -> float:
    try:
        return float(frame.keys.get("TriggerTime") or 0)
    except (TypeError, ValueError):
        return 0.0


def _told(found: list[list[Frame]], varying: Sequence[str]) -> list[Volume]:
    names = [key for key in varying if key in NAMES]
    return [Volume(tuple(frames), _tells(frames, names)) for frames in found]


def _tells(frames: list[Frame], names: Sequence[str]) -> dict[str, Any]:
    """Values that all frames of a volume share."""
    tells: dict[str, Any] = {}
    for key in names:
        values = {frame.keys.get(key) for frame in frames}
        if key == "TriggerTime" and None not in values:  # that of a slice differs by some ms from the next one's
            tells[NAMES[key]] = round(median(map(_trigger, frames)))
        elif len(values) == 1 and None not in values:
            tells[NAMES[key]] = _value(key, next(iter(values)))
    return tells


def _value(key: str, value: Any) -> Any:
    if key == "ImageType":
        words = [word for word in str(value).split("\\") if word not in ("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY")]
        return next((TYPES[word] for word in words if word in TYPES), " ".join(words).lower() or "other")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return int(number) if number.is_integer() else number


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _natural(value: Any) -> tuple[Any, ...]:
    """Order of numbers where they are numbers, else of text."""
    parts = [part for one in value for part in (one if isinstance(one, tuple) else (one,))]
    try:
        return (0, *(float(part) for part in parts))
    except (TypeError, ValueError):
        return (1, *map(str, parts))
