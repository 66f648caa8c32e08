"""Two runs on the same cases as one self-contained page: paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.names import measure_name
from qfae_monai.evaluation.rendering import write_page

__all__ = ["write_comparison"]


def write_comparison(output: Path, comparison: Mapping[str, Any]) -> Path:
    """Write a comparison as `compare` gives it, whole or not at all.

    Args:
        output: the page; made with its folder.
        comparison: of two runs.
    """
    levels = [
        (level, [(measure_name(name), row) for name, row in rows.items()])
        for level, rows in comparison["metrics"].items()
    ]
    bounds = [
        abs(row["difference"][end])
        for _, rows in levels
        for _, row in rows
        for end in ("value", "low", "high")
        if row["difference"][end] is not None
    ]
    return write_page(
        output,
        "comparison.html.jinja",
        comparison=comparison,
        levels=levels,
        reach=max([*bounds, 0.01]),
        level_percent=round(100 * comparison["bootstrap"]["level"]),
    )
