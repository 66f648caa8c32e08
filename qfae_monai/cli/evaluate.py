"""`qfae evaluate`, `qfae calibrate` and `qfae compare`: figures of a model, its thresholds, and two runs compared."""

from __future__ import annotations

from pathlib import Path

import typer

from qfae_monai.cli.options import IMAGE, INCLUDE, MODEL, PATIENT, SET, SHOW_COMMAND, TRUST, VOLUME, quick_imports
from qfae_monai.files import write_json
from qfae_monai.screen import echo

# `qfae compare`: two evaluations of the same cases, side by side.


def compare(
    run_a: Path = typer.Argument(help="Run folder of `qfae evaluate`."),
    run_b: Path = typer.Argument(help="Run folder of another evaluation of the same cases."),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="Folder for the comparison as page, JSON, CSV and LaTeX."
    ),
    seed: int = typer.Option(0, min=0, help="Random seed of the permutation test, for more than 12 patients."),
) -> None:
    """Show the paired differences between two evaluations, with confidence intervals over patients."""

    from qfae_monai.evaluation.comparison import compare as compare_runs
    from qfae_monai.evaluation.comparison import format_comparison, write_comparison

    comparison = compare_runs(run_a, run_b, seed=seed)
    echo(format_comparison(comparison), lines=True)
    if output is not None:
        write_json(output / "comparison.json", comparison, indent=2, allow_nan=False)
        echo(f"wrote {output / 'comparison.json'} and {write_comparison(output / 'comparison.html', comparison)}")


def evaluate(
    data: Path = typer.Argument(
        help="Labelled scans: a data list or prepared folder; or normal scans, with --abnormal."
    ),
    model: Path = MODEL,
    output: Path = typer.Option(..., "-o", "--output", help="Run folder: tables and report are written here."),
    abnormal: Path | None = typer.Option(None, help="Folder of abnormal scans. All scans of DATA are then normal."),
    masks: Path | None = typer.Option(None, help="Folder of lesion masks; a mask has the same name as its scan."),
    by: list[str] | None = typer.Option(None, help="Column of the data list whose groups are evaluated one by one."),
    patient: str | None = PATIENT,
    image: str | None = IMAGE,
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    set_: list[str] | None = SET,
    show_command: bool = SHOW_COMMAND,
    trust: bool = TRUST,
) -> None:
    """Score labelled scans; write tables and a report, with metrics and their confidence intervals over patients."""
    with quick_imports():
        from qfae_monai.model.bundle import parse_settings
        from qfae_monai.model.runs import Data, evaluation

    settings = parse_settings(set_ or [])
    labelled = Data(data, abnormal, masks, patient, image, volume, tuple(include or ()))
    run = evaluation(model, labelled, output, by=by or (), settings=settings, trusted=trust)
    for note in run.notes:
        echo(note)
    if show_command:
        echo(run.bundle.command(run.run_id), lines=True)
        return
    run.run()
    echo(f"report: {output / 'report.html'}")


def calibrate(
    normals: Path = typer.Argument(help="Normal scans that the model was not trained on."),
    model: Path = MODEL,
    patient: str | None = PATIENT,
    image: str | None = IMAGE,
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    set_: list[str] | None = SET,
    show_command: bool = SHOW_COMMAND,
    trust: bool = TRUST,
) -> None:
    """Compute thresholds from normal scans, and replace the thresholds of a model by them."""
    with quick_imports():
        from qfae_monai.model.bundle import parse_settings
        from qfae_monai.model.runs import Data, calibration

    settings = parse_settings(set_ or [])
    data = Data(normals, patient=patient, image=image, volume=volume, include=tuple(include or ()))
    run = calibration(model, data, settings=settings, trusted=trust)
    for note in run.notes:
        echo(note)
    if show_command:
        echo(run.bundle.command(run.run_id), lines=True)
        return
    run.run()
    echo(f"thresholds: {model / 'calibration.json'}; `qfae model show {model}` prints them")
