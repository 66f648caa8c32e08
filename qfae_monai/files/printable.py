"""Text from elsewhere as a terminal may show it: nothing in it moves the cursor, changes colours or hides."""

from __future__ import annotations

import unicodedata
from typing import Any

LONGEST = 60  # characters of a value that an error quotes


def printable(text: object, *, lines: bool = False) -> str:
    r"""Text with each control, format and unpaired character as its escape; letters, marks and spaces stand.

    Args:
        text: of data, or a message that quotes it.
        lines: whether its line feeds are meant: text of one's own, such as a table.

    Example:
        >>> printable("head\x1b[2J\u202egnp")
        'head\\x1b[2J\\u202egnp'
        >>> printable("Müller 山田\u3000太郎")
        'Müller 山田\u3000太郎'
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        letter if _is_shown(letter) or (lines and letter == "\n") else letter.encode("unicode_escape").decode()
        for letter in text
    )


def shown(value: Any) -> str:
    """A short, printable form of a value of JSON; of a list or an object how many it holds.

    >>> shown([1, 2, 3])
    'a list of 3'
    """
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = printable(repr(value[: LONGEST + 1] if isinstance(value, str) else value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"
