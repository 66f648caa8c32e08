"""Two runs on the same cases: paired differences over patients, as numbers and as a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.evaluation.cautions import no_intervals
from qfae_monai.evaluation.differences import paired_difference
from qfae_monai.evaluation.evaluation_report import INTERVALS, without_nan
from qfae_monai.evaluation.levels import Level, Pixels, levels_of, measure_name
from qfae_monai.evaluation.paper import comparison_table, write_tables
from qfae_monai.evaluation.rendering import write_page
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.files import printable


def compare(
    run_a: str | os.PathLike,
    run_b: str | os.PathLike,
    *,
    seed: int = 0,
    specificity: float = 0.95,
) -> dict[str, Any]:
    """Differences "b - a" of every measure, with intervals and the p of a permutation test over patients.

    Both runs must have the same cases, of the same patients, with the same labels. Slices that only one of them scored
    are left out of the slice figures, and counted.

    Args:
        run_a, run_b: output folders of evaluations.
        seed: of the patterns of signs that the test tries, where there are too many for all.
        specificity: at which sensitivity is stated.

    Returns:
        `{"kind", "a": {"name", "folder", "checkpoint"}, "b": {...}, "counts": {"cases", "patients"},
        "metrics": {level: {measure: {"a", "b", "difference": {"value", "low", "high",
        "smaller_class", "reason", "p"}}}}, "notes": [sentences], "intervals": {...}}`, None for NaN.

    Raises:
        ValueError: if kinds, cases, patients or labels differ; the message says which.
    """
    a, b = RunFolder(run_a), RunFolder(run_b)
    _check_cases(a, b)
    notes: list[str] = []
    metrics: dict[str, Any] = {}
    for first, second in zip(levels_of(a, specificity), levels_of(b, specificity), strict=True):
        metrics[first.name] = _differences(*_shared(first, second, notes), seed)
    if set(a.pixels.cases) == set(b.pixels.cases):  # pairs need the same cases with a mask
        metrics["pixel"] = _differences(Pixels.of(a), Pixels.of(b), seed)
        counted = [
            # pixels of the scored slices
            sum(int(case.normal.sum() + case.lesion.sum()) for case in run.pixels.cases.values())
            for run in (a, b)
        ]
        if counted[0] != counted[1]:
            notes.append(
                f"The runs scored different slices: pixel figures are of {counted[0]} and {counted[1]} pixels."
            )
    else:
        notes.append("The runs have masks of different cases: there are no pixel figures.")
    notes += no_intervals(
        {
            f"{level} {measure_name(name)}": row["difference"]
            for level, rows in metrics.items()
            for name, row in rows.items()
        }
    )
    return without_nan(
        {
            "kind": a.kind,
            "a": _identity(a),
            "b": _identity(b),
            "counts": {"cases": len(a.volumes), "patients": len(set(a.patient_of.values()))},
            "metrics": metrics,
            "notes": notes,
            "intervals": {**INTERVALS, "seed": seed},
        }
    )


def format_comparison(comparison: Mapping[str, Any]) -> str:
    """The table for a terminal, with the legend below it."""
    a, b = comparison["a"], comparison["b"]
    counts, level = comparison["counts"], comparison["intervals"]["level"]
    lines = [
        f"a: {printable(a['name'])} ({printable(a['folder'])})",
        f"b: {printable(b['name'])} ({printable(b['folder'])})",
        f"{counts['cases']} cases of {counts['patients']} patients",
        "",
        f"{'':<36}{'a':>8}{'b':>8}{'b - a':>9}   {f'{level:.0%} interval':<20}{'p':>6}{'n':>6}",
    ]
    for name, measures in comparison["metrics"].items():
        for measure, row in measures.items():
            difference = row["difference"]
            interval = f"{_number(difference['low'], '+')} to {_number(difference['high'], '+')}"
            lines.append(
                f"{f'{name} {measure}'.replace('_', ' '):<36}{_number(row['a']):>8}{_number(row['b']):>8}"
                f"{_number(difference['value'], '+'):>9}   {interval:<20}{_number(difference['p']):>6}"
                f"{difference['smaller_class']:>6}"
            )
    return "\n".join(
        [
            *lines,
            "",
            *comparison["notes"],
            "Interval and p: paired by patient; n: patients in the smaller class; -: undefined, or no method holds.",
        ]
    )


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"


def _identity(run: RunFolder) -> dict[str, Any]:
    return {"name": run.run["name"], "folder": str(run.path), "checkpoint": run.run["checkpoint"]}


def _check_cases(a: RunFolder, b: RunFolder) -> None:
    if a.kind != b.kind:
        raise ValueError(f"expected two runs of one kind, got {a.kind}s in {a.path} and {b.kind}s in {b.path}")
    for one, other in ((a, b), (b, a)):  # both ways, to name the run that lacks some
        missing = sorted(set(one.patient_of) - set(other.patient_of))
        if missing:
            raise ValueError(
                f"expected the same cases in both runs: {len(missing)} of {one.path} are missing in {other.path}: "
                f"{', '.join(missing[:5])}"
            )
    known: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("patient", a.patient_of, b.patient_of),
        ("label", _label_of(a), _label_of(b)),
    ]
    for what, first, second in known:
        differ = [case for case in first if first[case] != second[case]]
        if differ:
            raise ValueError(
                f"expected the same {what} of each case in {a.path} and {b.path}, {len(differ)} differ: "
                f"{', '.join(differ[:5])}"
            )


def _label_of(run: RunFolder) -> dict[str, float]:
    """Case -> label, -1 for none."""
    labels = np.nan_to_num(run.volumes["label"], nan=-1).tolist()  # NaN would differ from itself
    return dict(zip(run.volumes["case"].tolist(), labels, strict=True))


def _shared(first: Level, second: Level, notes: list[str]) -> tuple[Level, Level]:
    """The rows that both have, in one order."""
    key = ("case",) if first.name == "volume" else ("case", "slice")  # images are slices of their own
    rows = [
        {item: row for row, item in enumerate(zip(*(level.rows[part].tolist() for part in key), strict=True))}
        for level in (first, second)
    ]
    shared = sorted(set(rows[0]) & set(rows[1]))  # one order, so that equal rows pair
    alone = [len(own) - len(shared) for own in rows]  # rows
    if any(alone):
        notes.append(f"Scored by one run only and left out: {alone[0]} {first.name}s of a, {alone[1]} of b.")
    one, other = (
        level.where(np.array([own[item] for item in shared], dtype=np.intp))
        for level, own in zip((first, second), rows, strict=True)
    )
    differ = np.flatnonzero(one.labels != other.labels)
    if len(differ):
        raise ValueError(
            f"expected the same label of each {first.name} in both runs, {len(differ)} differ, "
            f"first {shared[differ[0]]}"
        )
    return one, other


def _differences(a: Level | Pixels, b: Level | Pixels, seed: int) -> dict[str, Any]:
    return {
        name: {
            "a": one.value,
            "b": b.estimates[name].value,
            "difference": asdict(paired_difference(one, b.estimates[name], seed=seed)),
        }
        for name, one in a.estimates.items()
    }


# Two runs on the same cases as one self-contained page: paired differences with their intervals.


def write_comparison(output: Path, comparison: Mapping[str, Any]) -> Path:
    """Write a comparison as `compare` gives it, and `comparison.csv` and `comparison.tex` beside it.

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
    write_tables(output.parent, [comparison_table(comparison)])
    return write_page(
        output,
        "comparison.html.jinja",
        comparison=comparison,
        levels=levels,
        reach=max([*bounds, 0.01]),  # of the drawn axis, either side of 0: never without width
        level_percent=round(100 * comparison["intervals"]["level"]),
    )
