"""Columns of a data list beside scans and masks: the class of what is abnormal, and strata such as the scanner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from monai.utils import ensure_tuple

from qfae_monai.files import shown
from qfae_monai.files.configurations import MARKS

__all__ = ["CLASS", "COLUMNS", "check_columns", "column_text", "columns_of", "set_apart"]

CLASS = "class"
"""Key of an entry: what its lesion is, such as `glioma`; of normal entries it says nothing."""

COLUMNS = "columns"
"""Key of a scored case that holds its columns: one may be called as something that scoring adds, such as `score`."""

OWN = ("image", "label", "image_label", "case", "patient", "volume", "include", CLASS, "contradiction")
"""Keys of an entry, and columns of `truth.csv`, that have a meaning of their own."""


def columns_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of an entry that cases can be grouped by, with their values."""
    return {key: value for key, value in entry.items() if key not in OWN}


def set_apart(case: Mapping[str, Any]) -> dict[str, Any]:
    """A case whose columns lie under `COLUMNS`; arrays that transforms made stay where they are.

    Example:
        >>> set_apart({"case": "a", "score": 3})
        {'case': 'a', 'columns': {'score': 3}}
    """
    columns = {
        key: value
        for key, value in columns_of(case).items()
        if isinstance(value, str | int | float | list | dict | None)
    }
    return {**{key: value for key, value in case.items() if key not in columns}, COLUMNS: columns}


def check_columns(entries: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> None:
    """Refuse columns that no entry has, that have a meaning of their own, or whose values are lists.

    Names that a configuration would evaluate are refused, too.

    Args:
        entries: of a data list.
        wanted: columns whose groups are to be evaluated.

    Raises:
        ValueError: naming the columns that there are, or the entry.
    """
    wanted = ensure_tuple(wanted)
    there = list(dict.fromkeys(key for entry in entries for key in columns_of(entry))) if wanted else []
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise ValueError(
            f"strata: expected columns of the data list ({', '.join(there) or 'it has none beside scans and labels'}), "
            f"got {', '.join(map(repr, unknown))}"
        )
    marked = [name for name in wanted if name.startswith(MARKS)]
    if marked:
        raise ValueError(
            f"strata: expected names of columns that do not begin with {', '.join(MARKS)}, which mean something in a "
            f"configuration, got {', '.join(map(repr, marked))}"
        )
    for number, entry in enumerate(entries, 1):
        for name in wanted:
            column_text(entry.get(name), f"case {entry.get('case', number)}, {name}")


def column_text(value: Any, where: str) -> str:
    """Value of a column as a text; "" where there is none.

    Args:
        value: of JSON.
        where: case and column, for the message.

    Raises:
        ValueError: for a list or an object.

    Example:
        >>> [column_text(value, "case 1, sex") for value in (" F ", 3, 1.5, True, None)]
        ['F', '3', '1.5', 'true', '']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return " ".join(str(value).split())
    raise ValueError(f"{where}: expected a text or a number, got {shown(value)}")
