"""CSV for people with spreadsheets: a name that would run as a formula is text there, and comes back as it was.

CWE-1236; OWASP, CSV Injection. A spreadsheet takes a cell for a formula by its first character, and a spreadsheet of
another country cuts lines at semicolons or tabs. So a cell that could be one gets an apostrophe in front, and a cell
with any separator is quoted. Numbers stay numbers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["csv_text", "plain_cell"]

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
    seen = next((letter for letter in text if letter.isprintable() and not letter.isspace()), "")
    return text[:1] in ("\t", "\r", "\n", "\0") or unicodedata.normalize("NFKC", seen)[:1] in tuple(STARTS)
