"""A table of the paper over its rows and seeds, ours beside the published; what is missing is refused first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.rendering import write_page
from qfae_monai.experiments.difference import STUDENT, WELCH, Difference
from qfae_monai.experiments.driver import SEEDS, check_seeds, run_experiment
from qfae_monai.experiments.rows import LAYOUT, ExperimentRow, Published
from qfae_monai.experiments.sizes import check_weights
from qfae_monai.files import write_csv, write_json

HEADS = ("ID", "ROW", "SEEDS", "OURS", "PUBLISHED", "DIFFERENCE (95 % INTERVAL)")
COLUMNS = ("id", "row", "seeds", "mean", "std", "published", "published_std", "difference", "low", "high", "interval")
UNLIKE_PAPER = (
    "The networks have the sizes of preset {}: these figures say that a table runs, not how well the paper's do."
)


def run_table(
    table: str,
    rows: Sequence[ExperimentRow],
    folders: Mapping[str, Path],
    output: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    preset: str = "paper",
    layout: str = LAYOUT,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run every row as `run_experiment` does; rows that share a training train once.

    Args:
        table: its number, for files' names.
        rows: of the table.
        folders: of the data sets, by the names that the rows have.
        output: folder of all experiments.
        seeds, preset, layout, settings: as in `run_experiment`.

    Returns:
        What is written to `table-N.json`: `table`, `preset`, and each row's results without its other measures. The
        same stands in `table-N.csv` and on the page `table-N.html`.

    Raises:
        WeightsNotFoundError: if a row's weights are not there; nothing is trained before.
        ValueError: as `run_experiment`.
    """
    check_seeds(seeds)
    check_weights(rows, preset, {} if settings is None else settings)
    found = [
        run_experiment(row, folders[row.data], output, seeds=seeds, preset=preset, layout=layout, settings=settings)
        for row in rows
    ]
    results = {
        "table": table,
        "preset": preset,
        "unit": "image AUROC in percent",
        "rows": [{key: value for key, value in one.items() if key not in ("measures", "unit")} for one in found],
    }
    _write(output, results)
    return results


def format_table(results: Mapping[str, Any]) -> str:
    """The rows, ours beside the published, and what the intervals are."""
    cells = [HEADS, *map(_cells, results["rows"])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([f"table {results['table']}, {results['unit']}", *lines, *notes(results)])


def notes(results: Mapping[str, Any]) -> list[str]:
    """Sentences that have to stand below the table."""
    methods = {row["difference"]["method"] for row in results["rows"]}
    found = [] if results["preset"] == "paper" else [UNLIKE_PAPER.format(results["preset"])]
    found += [f"Interval: {method}." for method in (STUDENT, WELCH) if method in methods]
    return [*found, "Intervals are over trainings, not over patients."] if methods & {STUDENT, WELCH} else found


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    ours = f"{row['mean']:.2f}" + ("" if row["std"] is None else f" ± {row['std']:.2f}")
    difference = str(Difference(**row["difference"]))
    return row["name"], row["row"], str(len(row["seeds"])), ours, str(Published(**row["published"])), difference


def _write(output: Path, results: Mapping[str, Any]) -> None:
    stem = f"table-{results['table']}"
    write_json(output / f"{stem}.json", results)
    lines = [
        (
            *(row["name"], row["row"], len(row["seeds"]), row["mean"], row["std"]),
            *(row["published"]["image_auroc"], row["published"]["std"]),
            *(row["difference"][key] for key in ("value", "low", "high", "method")),
        )
        for row in results["rows"]
    ]
    write_csv(output / f"{stem}.csv", COLUMNS, lines)
    reach = max(
        0.1,
        *(abs(row["difference"][end] or 0.0) for row in results["rows"] for end in ("value", "low", "high")),
    )
    write_page(
        output / f"{stem}.html",
        "paper_table.html.jinja",
        results=results,
        rows=[(_cells(row), row) for row in results["rows"]],
        notes=notes(results),
        reach=reach,
    )
