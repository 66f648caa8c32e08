"""Choice of one volume among several: the first, one by number, one by a key such as its echo, or all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ALL", "FIRST", "Choice", "check_volume", "chosen_volume"]

FIRST, ALL = "first", "all"
BY_VALUE = re.compile(r"([a-z]+)\s*=\s*(.+)", re.IGNORECASE)
SHOWN = 12  # volumes that an error lists
HOW = "choose with --volume (in Python and data lists: volume): first, a number, a value as echo=1, or all"

Choice = str | int | None


def check_volume(volume: Choice) -> Choice:
    """A choice as it is kept: `first`, `all`, a number from 1, or text as `echo=1`.

    Raises:
        ValueError: when it is none of these.

    >>> check_volume("3"), check_volume("Echo = 1"), check_volume("first")
    (3, 'echo=1', 'first')
    """
    if volume is None:
        return None
    text = str(volume).strip()
    if text.lower() in (FIRST, ALL):
        return text.lower()
    if text.isascii() and text.isdecimal() and int(text) >= 1 and not isinstance(volume, bool):
        return int(text)
    if found := BY_VALUE.fullmatch(text):
        return f"{found[1].lower()}={found[2].strip()}"
    raise ValueError(f"expected as volume first, all, a number from 1, or a value as echo=1 or b=0, got {text[:40]!r}")


def chosen_volume(
    volume: Choice, names: Sequence[str], tells: Sequence[Mapping[str, Any]], title: str
) -> tuple[int, ...]:
    """Places of the volumes that a choice means, from 0; of one volume alone whatever the choice is.

    Args:
        volume: as `check_volume` gives it.
        names: of the volumes, in words.
        tells: what tells each from the others.
        title: what errors call the series.

    Raises:
        ValueError: when there are several and nothing is chosen, or what is chosen is not there.
    """
    count = len(names)
    if count == 1:
        return (0,)
    listed = "; ".join(names[:SHOWN]) + (f"; and {count - SHOWN} more" if count > SHOWN else "")
    if volume is None:
        raise ValueError(f"{title}: expected one volume, got {count}: {listed}. {HOW} [several-volumes]")
    if volume == ALL:
        return tuple(range(count))
    if volume == FIRST:
        return (0,)
    if isinstance(volume, int):
        if volume > count:
            raise ValueError(f"{title}: expected a volume 1 to {count}, got {volume}: {listed}")
        return (volume - 1,)
    key, wanted = volume.split("=", 1)
    found = tuple(place for place, one in enumerate(tells) if key in one and _same(one[key], wanted))
    if len(found) != 1:
        several = f"{len(found)} of them: {'; '.join(names[place] for place in found[:SHOWN])}" if found else "none"
        raise ValueError(f"{title}: expected one volume with {volume}, got {several} ({listed})")
    return found


def _same(value: Any, wanted: str) -> bool:
    try:
        return abs(float(value) - float(wanted)) <= 1e-3 * max(1.0, abs(float(wanted)))
    except (TypeError, ValueError):
        return str(value).lower() == wanted.lower()
