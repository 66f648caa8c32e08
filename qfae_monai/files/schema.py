"""Schemas for values from a file: plain types, ranges and names, checked before anything uses them.

MONAI evaluates texts that begin with `$`, follows those with `@` and opens the file behind `%`, wherever in a
configuration they stand. So a value of a file is never handed on because it looks harmless: it is of a type, range and
name that its key is known to have, or the file is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from qfae_monai.files.tables import printable, shown

Check = Callable[[Any, str], None]
"""Called with a value and its key; raises ValueError with the key in its message."""

MOST = 2**53  # above it, whole numbers lose digits as floats
MOST_ITEMS = 10_000_000  # values in one list


def checked(value: Any, check: Check, source: object, *, what: str | None = None) -> Any:
    """The value, once it is known to be what a schema says.

    Args:
        value: as parsed from a file.
        check: made by the functions below.
        source: the file, or what else a message is to call it.
        what: the file is expected to be, for messages.

    Raises:
        ValueError: naming source and key.

    >>> checked({"depth": "$open('x')"}, record({"depth": whole(1, 48)}), "card.json")
    Traceback (most recent call last):
    ValueError: card.json: depth: expected a whole number from 1 to 48, got "$open('x')"
    """
    try:
        check(value, "")
    except ValueError as error:
        whole_file = "" if what is None else f"expected {what}, got a file that is not: "
        raise ValueError(f"{source}: {whole_file}{error}") from None
    return value


def whole(low: int = 0, high: int = MOST) -> Check:
    """A whole number; true and false are none."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:  # Python's True is an int
            raise _unlike(f"a whole number from {low} to {high}", value, key)

    return check


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """A finite number."""
    limits = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"

    def check(value: Any, key: str) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not (abs(value) < math.inf and low <= value <= high):
            raise _unlike(f"a finite number{limits}", value, key)

    return check


def text(pattern: str = r"(?s).*", called: str = "a text", longest: int = 300) -> Check:
    """A text that as a whole fits a pattern."""
    wanted = re.compile(pattern)

    def check(value: Any, key: str) -> None:
        if not isinstance(value, str) or len(value) > longest or not wanted.fullmatch(value):
            raise _unlike(f"{called} of at most {longest} characters", value, key)

    return check


def choice(*names: str) -> Check:
    """One of some words."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, str) or value not in names:
            raise _unlike(f"one of {', '.join(names)}", value, key)

    return check


def optional(inner: Check) -> Check:
    """null, or what another check lets pass."""

    def check(value: Any, key: str) -> None:
        if value is not None:
            inner(value, key)

    return check


def items(inner: Check, fewest: int = 0, most: int = MOST_ITEMS) -> Check:
    """A list of values that are all alike."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            raise _unlike(f"a list of {fewest} to {most} values", value, key)
        for place, one in enumerate(value):
            inner(one, f"{key}[{place}]")

    return check


def entries(inner: Check) -> Check:
    """An object of any keys, whose values are all alike."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, dict):
            raise _unlike("an object", value, key)
        for name, one in value.items():
            inner(one, _below(key, name))

    return check


def record(
    required: Mapping[str, Check], more: Mapping[str, Check] | None = None, *, others: Check | None = None
) -> Check:
    """An object of known keys.

    Args:
        required: check by key.
        more: check by key, of those that may be absent.
        others: check of whatever other keys hold; None refuses other keys.
    """
    known = {**required, **(more or {})}

    def check(value: Any, key: str) -> None:
        if not isinstance(value, dict):
            raise _unlike("an object", value, key)
        missing = [name for name in required if name not in value]
        if missing:
            raise ValueError(f"{_called(key)}expected the keys {', '.join(required)}, missing {', '.join(missing)}")
        for name, one in value.items():
            inner = known.get(name, others)
            if inner is None:
                raise ValueError(f"{_called(key)}expected the keys {', '.join(known)}, got also {shown(name)}")
            inner(one, _below(key, name))

    return check


def truth(value: Any, key: str) -> None:
    """true or false."""
    if not isinstance(value, bool):
        raise _unlike("true or false", value, key)


def plain_value(value: Any, key: str) -> None:
    """null, true or false, a finite number, a text, or a list of them."""
    for one in value if isinstance(value, list) else [value]:
        finite = not isinstance(one, float) or math.isfinite(one)
        if not (one is None or isinstance(one, bool | int | float | str)) or not finite or len(str(one)) > 1000:
            raise _unlike("a number, a text or a list of them", value, key)


def anything(value: Any, key: str) -> None:
    """Whatever JSON can hold: for values that are only ever shown."""


def _unlike(expected: str, value: Any, key: str) -> ValueError:
    return ValueError(f"{_called(key)}expected {expected}, got {shown(value)}")


def _called(key: str) -> str:
    return f"{key}: " if key else ""


def _below(key: str, name: str) -> str:
    name = name if re.fullmatch(r"[\w-]{1,60}", name) else printable(shown(name))
    return f"{key}.{name}" if key else name
