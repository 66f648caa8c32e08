"""JSON and CSV that anyone may have written: bounded in size and depth, strict, and refused in one sentence."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from qfae_monai.files.schema import Check, checked
from qfae_monai.files.tables import plain_cell, printable, shown

MOST_BYTES = 64 * 2**20  # of a JSON or YAML file
MOST_TABLE_BYTES = 2**30  # of a CSV
DEEPEST = 32  # objects and lists inside of each other
LARGEST = 2**63  # of whole numbers


def read_json(path: Path, *, what: str = "JSON") -> Any:
    """Whatever a JSON file holds, by the rules of `parse_object`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file.
    """
    return _parse(read_bytes(path, what), path, what)


def read_object(path: Path, check: Check | None = None, *, what: str = "a JSON object") -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: file.
        check: schema of the object, see `files/schema.py`.
        what: the file is expected to be, for messages.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file and, where one is at fault, the key.
    """
    return parse_object(read_bytes(path, what), path, check, what=what)


def parse_object(
    content: str | bytes, source: object, check: Check | None = None, *, what: str = "a JSON object"
) -> dict[str, Any]:
    """The object in a text: no key twice, finite numbers of at most 63 bits, at most 32 levels.

    Args:
        content: of the file, or of a field of its metadata.
        source: what a message calls it.
        check: schema of the object.
        what: it is expected to be, for messages.

    Raises:
        ValueError: naming source and key.

    >>> parse_object('{"a": 1, "a": 2}', "run.json")
    Traceback (most recent call last):
    ValueError: run.json: expected a JSON object, got a file that is not: the key 'a' twice
    """
    found = _parse(content, source, what)
    if not isinstance(found, dict):
        raise ValueError(f"{source}: expected {what}, got {shown(found)}")
    return found if check is None else checked(found, check, source, what=what)


def read_cells(path: Path, columns: tuple[str, ...] = ()) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV; each row has a cell for every column.

    Args:
        path: file.
        columns: that it must have; others are read, too.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming file and line.
    """
    content = read_bytes(path, "a table", MOST_TABLE_BYTES)
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: expected a table (CSV), got a file that is not: {printable(str(error))}") from None
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(f"{path}: expected columns {', '.join(columns)}; missing {', '.join(missing)}")
    for place, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}, line {place}: expected {len(header)} cells, got {len(row)}")
    return [plain_cell(cell) for cell in header], [[plain_cell(cell) for cell in row] for row in rows]


def read_rows(path: Path, columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Rows of a CSV by column, as `read_cells` reads them."""
    header, rows = read_cells(path, columns)
    return [dict(zip(header, row, strict=True)) for row in rows]


@contextmanager
def reading_as(what: str, source: object) -> Iterator[None]:
    """Around code that takes a file's values for what they should be: what does not fit is the file's fault.

    Raises:
        ValueError: naming the source; the cause is left out.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        if str(error).startswith(f"{source}"):
            raise
        reason = f"no {shown(error.args[0])}" if isinstance(error, KeyError) and error.args else printable(str(error))
        raise ValueError(f"{source}: expected {what}, got a file that is not ({reason})") from None


def read_bytes(path: Path, what: str, most: int = MOST_BYTES) -> bytes:
    """The content of a file that is not too large.

    Args:
        path: file.
        what: it is expected to be, for messages.
        most: bytes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is larger.
    """
    if not path.is_file():  # neither a folder nor a pipe, which would never end
        raise FileNotFoundError(f"{path}: expected {what}, got no such file")
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path}: expected {what} of at most {most // 2**20} MB, got a larger file")
    return content


def check_depth(found: Any) -> None:
    """Raises RecursionError for objects and lists that are nested too deeply to be walked through."""
    level, layer = 0, [found]
    while layer:
        layer = [
            child
            for one in layer
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
        level += 1
        if level > DEEPEST:
            raise RecursionError


def _parse(content: str | bytes, source: object, what: str) -> Any:
    try:
        found = json.loads(
            content,
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
        check_depth(found)
    except RecursionError:
        raise ValueError(f"{source}: expected {what} of at most {DEEPEST} levels, got a deeper one") from None
    except ValueError as error:
        raise ValueError(f"{source}: expected {what}, got a file that is not: {printable(str(error))}") from None
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"the key {shown(counts.most_common(1)[0][0])} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} where a finite number belongs")


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -LARGEST <= int(digits) < LARGEST:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if math.isinf(float(digits)):
        raise ValueError(f"{digits[:30]} where a finite number belongs")
    return float(digits)
