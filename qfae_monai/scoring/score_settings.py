"""What scores depend on beside the checkpoint: plain values by name, as a calibration or graph holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qfae_monai.files.schema import entries, plain_value

SCORE_SETTINGS = entries(plain_value)
"""Schema: values are compared and shown, and never become part of a configuration."""
SHOWN, LONGEST = 4, 60  # clauses of a sentence, and characters of a name or value in it


def as_in_a_file(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from JSON: tuples as lists."""
    found: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return found


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One clause for each value that differs, with its name; of many, the first and how many more there are.

    >>> differences({"model::dim": 128}, {"model::dim": 192, "slice_axis": 2})
    ['model::dim: 128 then, 192 now', 'slice_axis: absent then, 2 now']
    """
    then, now = as_in_a_file(then), as_in_a_file(now)
    names = [name for name in sorted({*then, *now}) if (name in then, then.get(name)) != (name in now, now.get(name))]
    clauses = [f"{name:.{LONGEST}}: {_short(then, name)} then, {_short(now, name)} now" for name in names[:SHOWN]]
    return clauses + ([f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else [])


def _short(settings: Mapping[str, Any], name: str) -> str:
    return str(settings.get(name, "absent"))[:LONGEST]
