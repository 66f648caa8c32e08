"""Expressions in every place of a file that holds something: every value, every key, every cell, every field."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file, save_file

from qfae_monai.weights.checkpoints import read_metadata

MARK = "planted-ran"
"""File that every planted expression would make, in the working directory."""
EXPRESSIONS: tuple[Any, ...] = (
    f"$open('{MARK}', 'w')",
    {"_target_": "builtins.open", "file": MARK, "mode": "w"},
)


class Entrance(NamedTuple):
    """A file with valid content, and what reads it."""

    path: Path
    use: Callable[[], Any]


def plant(entrance: Entrance) -> Iterator[str]:
    """Write the file anew with an expression in one place after the other; yields where it is."""
    original = entrance.path.read_bytes()
    kinds = {".json": _in_json, ".csv": _in_csv, ".safetensors": _in_metadata}
    for where, content in kinds[entrance.path.suffix](entrance.path):
        entrance.path.write_bytes(content)
        yield where
    entrance.path.write_bytes(original)


def _in_json(path: Path) -> Iterator[tuple[str, bytes]]:
    for where, content in _changed(json.loads(path.read_text())):
        yield where, json.dumps(content).encode()


def _in_csv(path: Path) -> Iterator[tuple[str, bytes]]:
    rows = list(csv.reader(path.open(newline="")))
    for row in range(min(2, len(rows))):
        for column in range(len(rows[row])):
            changed = [list(cells) for cells in rows]
            changed[row][column] = EXPRESSIONS[0]
            stream = io.StringIO()
            csv.writer(stream).writerows(changed)
            yield f"line {row + 1}, cell {column + 1}", stream.getvalue().encode()


def _in_metadata(path: Path) -> Iterator[tuple[str, bytes]]:
    tensors, fields = load_file(path), read_metadata(path)
    for name, text in fields.items():
        variants = [(name, EXPRESSIONS[0]), *((at, json.dumps(content)) for at, content in _changed(json.loads(text)))]
        for where, planted in variants:
            changed = path.with_name("changed.safetensors")
            save_file(tensors, changed, metadata={**fields, name: planted})
            content = changed.read_bytes()
            changed.unlink()
            yield f"{name} {where}", content


def _changed(content: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """The content with one value or key replaced, for each of them."""
    for expression in EXPRESSIONS:
        yield where, expression
    if isinstance(content, dict):
        for key, value in content.items():
            rest = {name: one for name, one in content.items() if name != key}
            yield f"{where}.{key} (key)", {**rest, EXPRESSIONS[0]: value}
            yield from ((at, {**content, key: one}) for at, one in _changed(value, f"{where}.{key}"))
    elif isinstance(content, list):
        for place, value in enumerate(content[:2]):
            for at, one in _changed(value, f"{where}[{place}]"):
                yield at, [*content[:place], one, *content[place + 1 :]]
