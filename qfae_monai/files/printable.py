"""Text from elsewhere as a terminal may show it: nothing in it moves the cursor, changes colours or hides."""

from __future__ import annotations

from typing import Any

LONGEST = 60  # characters of a value that an error quotes


def printable(text: str) -> str:
    """Text whose control characters, direction marks and lone surrogates are written out.

    >>> printable("score \\x1b[31m7")
    'score \\\\x1b[31m7'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown(value: Any) -> str:
    """A short, printable form of a value of JSON; of a list or an object how many it holds.

    >>> shown([1, 2, 3])
    'a list of 3'
    """
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = printable(repr(value[: LONGEST + 1] if isinstance(value, str) else value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
