"""CSV for people with spreadsheets: a name that would run as a formula is text there, and comes back as it was.

CWE-1236; OWASP, CSV Injection. A spreadsheet takes a cell for a formula by its first character, and a spreadsheet of
another country cuts lines at semicolons or tabs. So a cell that could be one gets an apostrophe in front, and a cell
with any separator is quoted. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["csv_text", "read_csv"]

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


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a CSV that `csv_text` made; cells are what was given to it, as text.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no CSV in UTF-8, or a row has not a cell for each column; the message says which.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            columns, *rows = [[_plain(cell) for cell in row] for row in csv.reader(stream)] or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected CSV in UTF-8, got another file ({error})") from error
    for number, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise ValueError(f"{path}, line {number}: expected {len(columns)} cells, got {len(row)}")
    return columns, [dict(zip(columns, row, strict=True)) for row in rows]


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    if _is_formula(text.lstrip(MARK)):
        text = MARK + text
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def _plain(cell: str) -> str:
    """The text of a cell: the inverse of the mark, which names that begin with an apostrophe get, too, if need be."""
    return cell[1:] if cell.startswith(MARK) and _is_formula(cell.lstrip(MARK)) else cell


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet could take a cell for a formula; spaces and invisible characters may stand in front."""
    if NUMBERS.fullmatch(text):
        return False
    seen = next((letter for letter in text if letter.isprintable() and not letter.isspace()), "")
    return text[:1] in ("\t", "\r", "\n", "\0") or unicodedata.normalize("NFKC", seen)[:1] in tuple(STARTS)
