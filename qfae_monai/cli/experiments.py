"""`qfae experiments`: the rows of the paper's tables, run over seeds, and published checkpoints evaluated."""

# ruff: noqa: PLC0415 (imports inside the commands keep `qfae --help` quick)

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from qfae_monai.cli.demo import BUNDLE
from qfae_monai.cli.trust import TRUST
from qfae_monai.files.configurations import check_trusted, path_text, read_configuration
from qfae_monai.screen import echo

app = typer.Typer(no_args_is_help=True, help="The paper's tables: list, show, run, and evaluate published checkpoints.")

Bundle = typer.Option(BUNDLE, help="The bundle's folder.")
Preset = typer.Option("paper", help="Preset of the bundle.")
Layout = typer.Option("datasets/bmad", help="Overlay of the bundle that reads the data.")
Weights = typer.Option(
    None, help="Folder with the frozen networks' weights, instead of the bundle's models/pretrained."
)
Set = typer.Option([], "--set", help="KEY=VALUE: a setting of the bundle; the value is JSON, or else text. Repeatable.")


@app.command("list")
def list_experiments(
    table: str | None = typer.Option(None, help="Rows of this table of the paper alone."),
    dataset: str | None = typer.Option(None, help="brats2021, resc, rsna or liverct."),
    bundle: Path = Bundle,
) -> None:
    """Show id, table, row, data set, published image AUROC (percent) and command of every row."""
    from qfae_monai.experiments.rows import load_rows

    rows = [("ID", "TABLE", "ROW", "DATA", "PUBLISHED", "COMMAND")]
    for row in load_rows(bundle, table=table, dataset=dataset):
        figure = "-" if row.published is None else str(row.published)
        rows.append((row.name, ", ".join(row.tables) or "-", row.row, row.dataset, figure, row.command))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


@app.command()
def show(name: str = typer.Argument(help="Id from `qfae experiments list`."), bundle: Path = Bundle) -> None:
    """Show one row: what it changes, what was published, and the commands of the bundle behind it."""
    from qfae_monai.experiments.rows import METADATA, find_row

    row = find_row(bundle, name)
    path = bundle / "configs" / "experiments" / f"{row.name}.json"
    published = row.published
    echo(f"{row.name}: {row.row} ({row.dataset}; table {', '.join(row.tables) or 'not known here'})")
    echo(f"published: {f'{published} ({published.source})' if published else 'not known here'}")
    if row.note:
        echo(f"note: {row.note}")
    for key, value in read_configuration(path).items():
        if key != METADATA:
            echo(f"  {key}: {json.dumps(value)}")
    for run_id, names in (("training", row.overlays("paper")), ("evaluating", [*row.overlays("paper"), "evaluate"])):
        files = ", ".join(f"'{bundle / 'configs' / name}.json'" for name in names)
        echo(f'python -m monai.bundle run {run_id} --config_file "[{files}]" --bundle_root {bundle} --dataset_dir DIR')


@app.command()
def run(
    name: str = typer.Argument(help="Id from `qfae experiments list`."),
    data: Path = typer.Option(..., help="Folder of the data set."),
    output: Path = typer.Option(..., help="Folder of all experiments; each seed gets its own below OUTPUT/ID."),
    seeds: str = typer.Option("42,7,13,65,91", help="One training each."),
    preset: str = Preset,
    layout: str = Layout,
    epochs: int | None = typer.Option(None, min=1, help="Instead of the preset's."),
    weights: Path | None = Weights,
    settings: list[str] = Set,
    bundle: Path = Bundle,
    trust: bool = TRUST,
) -> None:
    """Train and evaluate a row with every seed. Started again, it goes on where it stopped."""
    from qfae_monai.experiments.driver import format_results, run_experiment
    from qfae_monai.experiments.rows import find_row

    _check_trusted(bundle, preset, layout, trust)
    given = parse_settings(settings, weights) | ({} if epochs is None else {"max_epochs": epochs})
    results = run_experiment(find_row(bundle, name), bundle, data, output, seeds=parse_seeds(seeds), preset=preset,
                             layout=layout, settings=given)  # fmt: skip
    echo(format_results(results), lines=True)
    echo(f"written: {output / name / 'results.json'}, {output / name / 'results.csv'}")


@app.command()
def evaluate(
    dataset: str = typer.Argument(help="brats2021, resc, rsna or liverct."),
    checkpoint: Path = typer.Option(..., help="Published last_ckpt.pth (brain, retina, chest, liver), or a model.pt."),
    data: Path = typer.Option(..., help="Folder of the data set."),
    output: Path = typer.Option(..., help="Folder for scores and both readings."),
    preset: str = Preset,
    layout: str = Layout,
    weights: Path | None = Weights,
    settings: list[str] = Set,
    bundle: Path = Bundle,
    trust: bool = TRUST,
) -> None:
    """Evaluate a checkpoint once and state both readings: the released evaluation's, and every image."""
    from qfae_monai.experiments.released import evaluate_released, format_readings

    _check_trusted(bundle, preset, layout, trust)
    readings = evaluate_released(dataset, checkpoint, bundle, data, output, preset=preset, layout=layout,
                                 settings=parse_settings(settings, weights))  # fmt: skip
    echo(format_readings(readings), lines=True)
    echo(f"written: {output / 'readings.json'}, {output / 'evaluation'}")


def _check_trusted(bundle: Path, preset: str, layout: str, trust: bool) -> None:
    names = (f"presets/{preset}", layout)
    check_trusted(bundle, [bundle / "configs" / f"{name}.json" for name in names], trusted=trust)


def parse_seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--seeds: expected whole numbers with commas between, got {text!r}") from None


def parse_settings(pairs: Sequence[str], weights: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = {} if weights is None else {"weights_dir": path_text(weights)}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise ValueError(f"--set: expected KEY=VALUE, got {pair!r}")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found
