"""Settings besides the checkpoint that scores depend on: plain values by name, as a calibration or graph holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from qfae_monai.files.schema import entries, plain_value

SCORE_SETTINGS = entries(plain_value)
"""Schema: values are compared and shown, and never become part of a configuration."""


def as_in_a_file(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from JSON: tuples as lists."""
    found: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return found


SHOWN, LONGEST = 5, 60  # differences that a message lists, and characters of a name or value in it


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One clause for each value that differs, with its name.

    >>> differences({"model::dim": 128}, {"model::dim": 192, "slice_axis": 2})
    ['model::dim: 128 then, 192 now', 'slice_axis: absent then, 2 now']
    """
    then, now = as_in_a_file(then), as_in_a_file(now)
    return [
        f"{name:.{LONGEST}}: {_short(then.get(name, 'absent'))} then, {_short(now.get(name, 'absent'))} now"
        for name in sorted({*then, *now})
        if (name in then, then.get(name)) != (name in now, now.get(name))
    ]


def listed(clauses: Sequence[str]) -> str:
    """The first few of such clauses, and how many there are beside them.

    >>> listed(["a: 1 then, 2 now"] * 7).endswith("a: 1 then, 2 now, and 2 more")
    True
    """
    more = f", and {len(clauses) - SHOWN} more" if len(clauses) > SHOWN else ""
    return ", ".join(clauses[:SHOWN]) + more


def _short(value: Any) -> str:
    return f"{value!s:.{LONGEST}}"
