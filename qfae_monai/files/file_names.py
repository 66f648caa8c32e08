"""Check of names from data before they become part of a path: they must stay within their folder."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["check_file_name", "is_file_name"]

MAX_BYTES = 200  # file systems take 255, of which suffixes and temporary names need some
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u2028\u2029\ud800-\udfff]|^[A-Za-z]:")
"""Separators and drives of any system, control characters, and halves of characters."""
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
"""Devices of Windows, whatever follows behind a dot."""


def is_file_name(text: str) -> bool:
    """Whether a text can name a file or folder on every system, within the folder it is put into.

    Example:
        >>> [is_file_name(text) for text in ("patient 7", "Müller.2", "..", "a/b", "C:x", "nul.nii", "")]
        [True, True, False, False, False, False, False]
    """
    return (
        bool(text.strip(". "))
        and UNSAFE.search(text) is None
        and RESERVED.fullmatch(text.split(".", maxsplit=1)[0].rstrip()) is None
        and len(text.encode()) <= MAX_BYTES
    )


def check_file_name(value: Any, where: str) -> str:
    """The value as a text, once it can name a file.

    Args:
        value: a text or a whole number, from a file of the user or of a stranger.
        where: file, entry and key that it comes from.

    Raises:
        ValueError: when it is another thing, or would lead out of its folder.

    Example:
        >>> check_file_name(7, "list.json, entry 1, case")
        '7'
    """
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not is_file_name(text):
        raise ValueError(
            f"{where}: expected a name without separators, control characters and dots alone, of at most {MAX_BYTES} "
            f"bytes, got {repr(value)[:80]}"
        )
    return text
