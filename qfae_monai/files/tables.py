"""Text of data that may be shown, be a file's name, or stand in a table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

# Text from elsewhere as a terminal may show it: nothing in it moves the cursor, changes colours or hides.

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


# Check of names from data before they become part of a path: they must stay within their folder.

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
        and len(text.encode()) <= MAX_BYTES  # bytes, not letters
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


# CSV for people with spreadsheets: a name that would run as a formula is text there, and comes back as it was.
# CWE-1236; OWASP, CSV Injection. A spreadsheet takes a cell for a formula by its first character, and a spreadsheet
# of another country cuts lines at semicolons or tabs. So a cell that could be one gets an apostrophe in front, and a
# cell with any separator is quoted. Numbers stay numbers.

MARK = "'"
STARTS = "=+-@\N{MINUS SIGN}"  # of a formula, also as full-width, small and superscript characters
NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf|nan)"
NUMBERS = re.compile(f"{NUMBER}(?: {NUMBER})*")  # an affine is many
QUOTED = re.compile(r"[\",;|\t\r\n\v\f]|^\s|\s$")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """CSV of rows, the header first; None is an empty cell.

    Example:
        >>> print(csv_text([["case", "score"], ["=1+1", -1.5], ["a;=b", None]]), end="")
        case,score
        '=1+1,-1.5
        "a;=b",
    """
    return "".join(",".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    if _is_formula(text.lstrip(MARK)):
        text = MARK + text
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def plain_cell(cell: str) -> str:
    """Text of a cell as `csv_text` was given it: without the mark, where there is one."""
    return cell[1:] if cell.startswith(MARK) and _is_formula(cell.lstrip(MARK)) else cell


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet could take a cell for a formula; spaces and invisible characters may stand in front."""
    if NUMBERS.fullmatch(text):
        return False
    # what a spreadsheet sees first
    seen = next((letter for letter in text if letter.isprintable() and not letter.isspace()), "")
    return text[:1] in ("\t", "\r", "\n", "\0") or unicodedata.normalize("NFKC", seen)[:1] in tuple(STARTS)
