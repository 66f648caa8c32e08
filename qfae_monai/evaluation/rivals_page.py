"""The table of rivals for a terminal, a document and as one self-contained page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.rendering import interval, number, write_page

__all__ = ["CSV_COLUMNS", "MEASURES", "csv_rows", "format_rivals", "write_rivals"]

MEASURES = {
    "image AUROC": ("image", "auroc"),
    "slice AUROC": ("slice", "auroc"),
    "volume AUROC": ("volume", "auroc"),
    "pixel AP": ("pixel", "average_precision"),
}
"""Heading -> level and measure of `evaluation.json`."""
CSV_COLUMNS = (
    "name",
    "library",
    *(f"{name}{end}" for name in MEASURES for end in ("", " low", " high")),
    "qfae better by",
    "low",
    "high",
    "p",
    "training seconds",
    "scoring seconds",
)


def format_rivals(table: Mapping[str, Any]) -> str:
    """Markdown: figures with their intervals, how much better the method is, seconds, and who was left out.

    Args:
        table: as `rivals.json` holds it.
    """
    heads = ["method", *table["measures"], "QFAE better by", "training, s", "scoring, s"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in table["rows"]:
        figures = [_figure(row["figures"][name]) for name in table["measures"]]
        seconds = [number(row["training"]["seconds"], 0), number(row["scoring_seconds"], 0)]
        lines.append("| " + " | ".join([row["name"], *figures, _better(row["difference"]), *seconds]) + " |")
    counts, machine = table["counts"], table["machine"]
    lines += [
        "",
        f"{counts['cases']} cases of {counts['patients']} patients; {machine['device']}, {_threads(machine)}.",
    ]
    lines += [f"left out: {name}: {reason}" for name, reason in table["skipped"].items()]
    return "\n".join(lines)


def csv_rows(table: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Rows of `rivals.csv`."""
    for row in table["rows"]:
        figures = [row["figures"][name] or {} for name in MEASURES]
        difference = row["difference"] or {}
        yield [
            row["name"],
            row["library"],
            *(one.get(end) for one in figures for end in ("value", "low", "high")),
            *(difference.get(end) for end in ("value", "low", "high", "p")),
            row["training"]["seconds"],
            row["scoring_seconds"],
        ]


def write_rivals(output: Path, table: Mapping[str, Any]) -> Path:
    """Write the page, whole or not at all; each method's own report is linked.

    Args:
        output: the page; made with its folder.
        table: as `rivals.json` holds it.
    """
    reports = {
        row["name"]: Path(os.path.relpath(Path(row["run"]) / "report.html", output.parent)).as_posix()
        for row in table["rows"]
    }
    bounds = [
        abs(row["difference"][end])
        for row in table["rows"]
        for end in ("value", "low", "high")
        if row["difference"] and row["difference"][end] is not None
    ]
    return write_page(
        output,
        "rivals.html.jinja",
        table=table,
        reports=reports,
        threads=_threads(table["machine"]),
        reach=max([*bounds, 0.01]),
    )


def _threads(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}, {versions}"


def _figure(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    limits = "" if found["low"] is None or found["high"] is None else f" ({interval(found)})"
    return f"{number(found['value'])}{limits}"


def _better(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    limits = "" if found["low"] is None or found["high"] is None else f" ({interval(found)})"
    return f"{'+' if (found['value'] or 0) > 0 else ''}{number(found['value'])}{limits}"
