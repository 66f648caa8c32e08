"""The table that chooses frozen networks, for a terminal, a document and as one self-contained page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.levels import FEATURES, MAPS
from qfae_monai.evaluation.rendering import interval, number, write_page

__all__ = ["format_encoders", "table_groups", "write_encoders"]

Cells = dict[str, Mapping[str, Any] | None]
MEASURE_NAMES = {"slice_auroc": "slice AUROC", "pixel_ap": "pixel AP", "volume_auroc": "volume AUROC"}


def table_groups(table: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, Cells]]]]:
    """Groups of rows: name, and an interval for each of `MEASURE_NAMES` where there is one.

    Args:
        table: as `encoder_table` gives it.
    """
    rows = table["rows"]
    level = "image" if table["kind"] == "image" else "slice"
    measured: list[tuple[str, Cells]] = [(row["name"], {name: row[name] for name in MEASURE_NAMES}) for row in rows]
    neighbours: dict[str, Cells] = {row["encoder"]: row["neighbours"] for row in rows}
    features: dict[str, Cells] = {}
    for one in table["features"]:
        column = {level: "slice_auroc", "volume": "volume_auroc"}[one["level"]]
        turned = {**one["interval"], "value": one["separability"]}
        if one["auroc"] < 0.5:  # the interval is of the feature as it is, the row of the better direction
            turned |= {"low": _turn(one["interval"]["high"]), "high": _turn(one["interval"]["low"])}
        features.setdefault(FEATURES[one["feature"]], {})[column] = turned
    maps: list[tuple[str, Cells]] = [
        (MAPS[name], {"pixel_ap": {"value": value, "low": None, "high": None}}) for name, value in table["maps"].items()
    ]
    return [
        ("encoder + perceptual network (+ options)", measured),
        ("nearest neighbours in the encoder's features, no training", list(neighbours.items())),
        ("trivial features, in the better direction", list(features.items())),
        ("trivial maps", maps),
    ]


def format_encoders(table: Mapping[str, Any]) -> str:
    """Markdown: figures with their intervals, leads of the best in-house combination, and what to beware of."""
    heads = ["", *_names(table).values(), "mean of folds"]
    within = {row["name"]: row["slice_auroc_within_folds"] for row in table["rows"]}
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for number_of, (group, rows) in enumerate(table_groups(table)):
        lines.append(f"| **{group}** |" + " |" * (len(heads) - 1))
        for name, cells in rows:
            found = [_cell(cells.get(measure)) for measure in _names(table)]
            lines.append(f"| {name} | {' | '.join(found)} | {number(within[name]) if not number_of else ''} |")
    if table["leads"]:
        lines += ["", "| best in-house | against | measure | lead | interval by patient | p |", "|---" * 6 + "|"]
    for lead in table["leads"]:
        difference = lead["difference"]
        figures = (number(difference["value"]), interval(difference), number(difference["p"]))
        named = (lead["best"], lead["against"], _names(table).get(lead["measure"], lead["measure"]))
        lines.append(f"| {' | '.join([*named, *figures])} |")
    counts = table["counts"]
    said = [f"{counts['cases']} cases of {counts['patients']} patients. {smaller_classes(table)}", *table["notes"]]
    return "\n".join([*lines, "", *said]) + "\n"


def smaller_classes(table: Mapping[str, Any]) -> str:
    """Sentence with the patients in the smaller class of each measure."""
    found = [
        f"{label} {min(row[name]['smaller_class'] for row in table['rows'])}" for name, label in _names(table).items()
    ]
    return f"Patients in the smaller class: {', '.join(found)}."


def write_encoders(output: Path, table: Mapping[str, Any]) -> Path:
    """Write the page, whole or not at all.

    Args:
        output: the page; made with its folder.
        table: as `encoder_table` gives it.
    """
    reports = {
        row["name"]: [Path(os.path.relpath(report, output.parent)).as_posix() for report in row["reports"]]
        for row in table["rows"]
    }
    bounds = [
        abs(lead["difference"][end])
        for lead in table["leads"]
        for end in ("value", "low", "high")
        if lead["difference"][end] is not None
    ]
    return write_page(
        output,
        "encoders.html.jinja",
        table=table,
        groups=table_groups(table),
        measures=_names(table),
        smaller=smaller_classes(table),
        within={row["name"]: row["slice_auroc_within_folds"] for row in table["rows"]},
        reports=reports,
        reach=max([*bounds, 0.01]),  # of the drawn axis, either side of 0
        level_percent=round(100 * table["intervals"]["level"]),
    )


def _names(table: Mapping[str, Any]) -> dict[str, str]:
    """Measure -> heading; one that is undefined everywhere has no column, and a note says so."""
    defined = [name for name in MEASURE_NAMES if any(row[name]["value"] is not None for row in table["rows"])]
    level = "image" if table["kind"] == "image" else "slice"
    return {name: MEASURE_NAMES[name].replace("slice", level) for name in defined}


def _turn(value: float | None) -> float | None:
    return None if value is None else 1 - value  # AUROC of the opposite direction


def _cell(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    limits = "" if value["low"] is None or value["high"] is None else f" ({interval(value)})"
    return f"{number(value['value'])}{limits}"
