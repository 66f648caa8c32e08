"""`qfae experiments` and `qfae demo`: the paper's tables over seeds, published checkpoints, and a run on phantoms."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import typer

from qfae_monai.cli.options import PATIENT, SET, TRUST
from qfae_monai.screen import echo

# `qfae demo`: phantoms, training, evaluation, maps and a montage, through the same bundle files as everything else.


def demo(
    output: Path = typer.Option(Path("demo"), help="Folder for data, model, maps, montage and summary."),
    seed: int = typer.Option(0, min=0, help="Random seed of the phantoms and of the training."),
    epochs: int | None = typer.Option(None, min=1, help="Epochs; default: the number of the preset."),
    volumes: int = typer.Option(160, min=2, help="Number of normal volumes to train on."),
) -> None:
    """Make phantoms (simulated scans), train on the normal ones, evaluate, and show the results."""
    from qfae_monai.experiments.demo_run import run_demo

    echo(run_demo(output, seed=seed, epochs=epochs, volumes=volumes), lines=True)


app = typer.Typer(
    no_args_is_help=True,
    help="Experiments of the paper's tables: list, show and run them; evaluate published checkpoints.",
)

Preset = typer.Option("paper", help="Sizes of the networks: paper, small, tiny.")
Layout = typer.Option("datasets/bmad", help="Overlay of the bundle for the layout of the data.")
Weights = typer.Option(None, help="Folder with the frozen networks' weights; default: models/pretrained in the bundle.")


@app.command("list")
def list_experiments(
    table: str | None = typer.Option(None, help="Show only the rows of this table of the paper; 2 for 2a to 2d."),
    dataset: str | None = typer.Option(
        None, help="Show only the rows of this data set: brats2021, resc, rsna or liverct."
    ),
    group: str = typer.Option("paper", help="Rows of the paper's tables, or of our own: ablation, robust; or all."),
) -> None:
    """Show each row: id, table, what distinguishes it, published image AUROC (percent), data and weights it needs."""
    from qfae_monai.experiments.data_folders import DATA
    from qfae_monai.experiments.rows import load_rows
    from qfae_monai.experiments.sizes import needed_weights

    found = load_rows(table=table, dataset=dataset, group=None if group == "all" else group)
    rows = [("ID", "TABLE", "ROW", "PUBLISHED", "DATA", "WEIGHTS")]
    for row in found:
        figure = "-" if row.published is None else str(row.published)
        weights = ", ".join(needed_weights(row))
        rows.append((row.name, ", ".join(row.tables) or "-", row.row, figure, row.data, weights))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    for name in sorted({row.data for row in found}):
        echo(f"data {name}: {DATA[name]}")
    others = sorted({row.group for row in load_rows()} - {row.group for row in found})
    if others and table is None:
        echo(f"more rows: {', '.join(f'--group {name}' for name in others)}")
    echo("run: qfae experiments run ID --data DIR --output DIR; a whole table: run --table 3")


@app.command()
def show(name: str = typer.Argument(help="Id from `qfae experiments list`."), preset: str = Preset) -> None:
    """Show one row: what it changes, the published AUROC, open settings, and the bundle commands that run it."""
    from qfae_monai.experiments.data_folders import DATA
    from qfae_monai.experiments.rows import METADATA, find_row
    from qfae_monai.experiments.sizes import needed_weights, row_settings
    from qfae_monai.files.configurations import read_configuration
    from qfae_monai.model.bundle import Bundle, configuration_file

    row = find_row(name)
    path = configuration_file(f"experiments/{row.name}")
    published = row.published
    tables = f"table {', '.join(row.tables)}" if row.tables else "a row of our own"
    echo(f"{row.name}: {row.row} ({row.dataset}; {tables})")
    echo(f"published: {f'{published} ({published.source})' if published else 'none, a row of our own'}")
    echo(f"needs: data {row.data} ({DATA[row.data]}); weights {', '.join(needed_weights(row, preset)) or 'none'}")
    if row.trained_by:
        echo(f"trained by: {row.trained_by}, from which it differs in scoring alone")
    if row.note:
        echo(f"note: {row.note}")
    if row.reading:
        echo(f"open in the paper; taken here: {row.reading}")
    for other in row.others:
        echo(f"  another reading: --set {shlex.quote(other)}")
    for key, value in read_configuration(path).items():
        if key != METADATA:
            echo(f"  {key}: {json.dumps(value)}")
    for run_id, names in (("training", row.overlays()), ("evaluating", [*row.overlays(), "evaluate"])):
        settings = {"preset": preset, **row_settings(row, preset), "dataset_dir": "DIR"}
        echo(Bundle(names, settings).command(run_id), lines=True)


@app.command()
def run(
    name: str | None = typer.Argument(None, help="Id from `qfae experiments list`; or a whole table by --table."),
    table: str | None = typer.Option(None, help="Run every row of this table of the paper; 2 for 2a to 2d."),
    data: list[str] = typer.Option(
        ..., help="Folder of the data set; of several NAME=DIR for each, or one folder with a subfolder for each."
    ),
    output: Path = typer.Option(..., help="Folder of all experiments; each seed gets its own folder in OUTPUT/ID."),
    seeds: str = typer.Option("42,7,13,65,91", help="Seeds, separated by commas; one training per seed."),
    preset: str = typer.Option(
        "paper", help="Sizes of the networks: paper, small; tiny is a rehearsal without weights."
    ),
    layout: str = Layout,
    epochs: int | None = typer.Option(None, min=1, help="Epochs; default: the number of the preset."),
    weights: Path | None = Weights,
    set_: list[str] | None = SET,
) -> None:
    """Train and evaluate a row, or all rows of a table, with every seed; start again to go on after an interruption."""
    from qfae_monai.experiments.data_folders import find_folders
    from qfae_monai.experiments.driver import format_results, run_experiment
    from qfae_monai.experiments.rows import find_row, load_rows
    from qfae_monai.experiments.table_run import format_table, run_table

    if (name is None) == (table is None):
        raise ValueError("expected an id of `qfae experiments list` or --table, one of both")
    # --epochs wins over --set max_epochs
    changed = settings_of(set_, weights) | ({} if epochs is None else {"max_epochs": epochs})
    given: dict[str, Any] = {"seeds": parse_seeds(seeds), "preset": preset, "layout": layout, "settings": changed}
    rows = [find_row(name)] if name is not None else load_rows(table=table)
    folders = find_folders(data, (row.data for row in rows))
    if table is None:
        echo(format_results(run_experiment(rows[0], folders[rows[0].data], output, **given)), lines=True)
        echo(f"written: {output / rows[0].name / 'results.json'}, {output / rows[0].name / 'results.csv'}")
    else:
        echo(format_table(run_table(table, rows, folders, output, **given)), lines=True)
        echo(f"written: {', '.join(str(output / f'table-{table}.{end}') for end in ('html', 'csv', 'json'))}")


@app.command()
def evaluate(
    dataset: str = typer.Argument(help="Data set: brats2021, resc, rsna or liverct."),
    checkpoint: Path = typer.Option(..., help="Published last_ckpt.pth (brain, retina, chest, liver), or a model.pt."),
    data: Path = typer.Option(..., help="Folder of the data set."),
    output: Path = typer.Option(..., help="Folder for the scores and both results."),
    preset: str = Preset,
    layout: str = Layout,
    weights: Path | None = Weights,
    set_: list[str] | None = SET,
) -> None:
    """Evaluate a checkpoint on every image, and on the images that the released evaluation keeps."""
    from qfae_monai.experiments.released import evaluate_released, format_readings

    readings = evaluate_released(
        dataset, checkpoint, data, output, preset=preset, layout=layout, settings=settings_of(set_, weights)
    )
    echo(format_readings(readings), lines=True)
    echo(f"written: {output / 'readings.json'}, {output / 'evaluation'}")


def parse_seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--seeds: expected whole numbers with commas between, got {text!r}") from None


def settings_of(pairs: list[str] | None, weights: Path | None) -> dict[str, Any]:
    """Values by key, the folder of weights among them."""
    from qfae_monai.files.configurations import path_text
    from qfae_monai.model.bundle import parse_settings

    return ({} if weights is None else {"weights_dir": path_text(weights)}) | parse_settings(pairs or [])


# `qfae experiments rivals`: other methods on the same scans, and the method itself beside them.


@app.command()
def rivals(
    names: list[str] | None = typer.Argument(None, help="Rivals of --list; qfae is the method itself."),
    data: Path | None = typer.Option(None, help="Scans, as for `qfae train`, or the folder that --model learned from."),
    output: Path | None = typer.Option(None, "-o", "--output", help="Folder of all runs, with one page of them."),
    trained: Path | None = typer.Option(
        None, "-m", "--model", help="Trained model; default: as `qfae train` plans it."
    ),
    weights: list[Path] | None = typer.Option(
        None, help="Folder of pretrained networks, as files; nothing is downloaded. Repeatable."
    ),
    abnormal: Path | None = typer.Option(None, help="Folder of abnormal scans for the test."),
    masks: Path | None = typer.Option(None, help="Folder of lesion masks; a mask has the same name as its scan."),
    patient: str | None = PATIENT,
    epochs: int | None = typer.Option(None, min=1, help="Epochs of the rivals; default: those of the model."),
    images: int | None = typer.Option(None, min=1, help="Images that the model is trained on; default: the plan's."),
    seed: int = typer.Option(42, min=0, help="Random seed of the split and of every training."),
    list_: bool = typer.Option(False, "--list", help="Show the rivals, what each needs, and those that are missing."),
    trust: bool = TRUST,
) -> None:
    """Train other methods on the same normal scans, and evaluate all on the same test scans, with one page of all."""
    if list_:
        from qfae_monai.experiments.rivals.listing import format_methods

        echo(format_methods(), lines=True)
        return
    if not names or data is None or output is None:
        raise ValueError(f"expected NAME... --data DIR -o DIR, or --list, got {' '.join(names or []) or 'no name'}")
    from qfae_monai.evaluation.rivals_page import format_rivals
    from qfae_monai.experiments.rivals.comparison_run import PAGE, Asked, run_rivals
    from qfae_monai.model.runs import Data

    for folder in weights or []:
        if not folder.is_dir():
            raise FileNotFoundError(f"--weights {folder}: expected a folder of pretrained weights, got no such folder")
    asked = Asked(tuple(names), trained, tuple(weights or ()), epochs, images, seed, trust)
    table = run_rivals(Data(data, abnormal, masks, patient), output, asked, say=echo)
    echo(format_rivals(table), lines=True)
    echo(f"page: {output / PAGE}")
