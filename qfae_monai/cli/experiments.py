"""`qfae experiments` and `qfae demo`: the paper's tables over seeds, published checkpoints, and a run on phantoms."""

from __future__ import annotations

import json
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
    table: str | None = typer.Option(None, help="Show only the rows of this table of the paper."),
    dataset: str | None = typer.Option(
        None, help="Show only the rows of this data set: brats2021, resc, rsna or liverct."
    ),
) -> None:
    """Show every row: id, table, name, data set, published image AUROC (percent) and command."""
    from qfae_monai.experiments.rows import load_rows

    rows = [("ID", "TABLE", "ROW", "DATA", "PUBLISHED", "COMMAND")]
    for row in load_rows(table=table, dataset=dataset):
        figure = "-" if row.published is None else str(row.published)
        rows.append((row.name, ", ".join(row.tables) or "-", row.row, row.dataset, figure, row.command))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


@app.command()
def show(name: str = typer.Argument(help="Id from `qfae experiments list`.")) -> None:
    """Show one row: the settings that it changes, the published AUROC, and the bundle commands that run it."""
    from qfae_monai.experiments.rows import METADATA, find_row
    from qfae_monai.files.configurations import read_configuration
    from qfae_monai.model.bundle import Bundle, configuration_file

    row = find_row(name)
    path = configuration_file(f"experiments/{row.name}")
    published = row.published
    echo(f"{row.name}: {row.row} ({row.dataset}; table {', '.join(row.tables) or 'not known here'})")
    echo(f"published: {f'{published} ({published.source})' if published else 'not known here'}")
    if row.note:
        echo(f"note: {row.note}")
    for key, value in read_configuration(path).items():
        if key != METADATA:
            echo(f"  {key}: {json.dumps(value)}")
    for run_id, names in (("training", row.overlays()), ("evaluating", [*row.overlays(), "evaluate"])):
        echo(Bundle(names, {"preset": "paper", "dataset_dir": "DIR"}).command(run_id))


@app.command()
def run(
    name: str = typer.Argument(help="Id from `qfae experiments list`."),
    data: Path = typer.Option(..., help="Folder of the data set."),
    output: Path = typer.Option(..., help="Folder of all experiments; each seed gets its own folder in OUTPUT/ID."),
    seeds: str = typer.Option("42,7,13,65,91", help="Seeds, separated by commas; one training per seed."),
    preset: str = Preset,
    layout: str = Layout,
    epochs: int | None = typer.Option(None, min=1, help="Epochs; default: the number of the preset."),
    weights: Path | None = Weights,
    set_: list[str] | None = SET,
) -> None:
    """Train and evaluate a row with every seed. Start it again to continue after an interruption."""
    from qfae_monai.experiments.driver import format_results, run_experiment
    from qfae_monai.experiments.rows import find_row

    # --epochs wins over --set max_epochs
    given = settings_of(set_, weights) | ({} if epochs is None else {"max_epochs": epochs})
    results = run_experiment(
        find_row(name), data, output, seeds=parse_seeds(seeds), preset=preset, layout=layout, settings=given
    )
    echo(format_results(results), lines=True)
    echo(f"written: {output / name / 'results.json'}, {output / name / 'results.csv'}")


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
