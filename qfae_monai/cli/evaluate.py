"""`qfae evaluate` and `qfae calibrate`: what a model finds, and from which score on it is called abnormal."""

# ruff: noqa: PLC0415 (imports inside the commands keep `qfae --help` quick)

from __future__ import annotations

from pathlib import Path

import typer

from qfae_monai.cli.options import IMAGE, INCLUDE, MODEL, PATIENT, SET, SHOW_COMMAND, TRUST, VOLUME
from qfae_monai.cli.quick_imports import quick_imports
from qfae_monai.screen import echo


def evaluate(
    data: Path = typer.Argument(help="Labelled scans: a data list, prepared folder, or a folder with --abnormal."),
    model: Path = MODEL,
    output: Path = typer.Option(..., "-o", "--output", help="Folder of the run, its tables and report."),
    abnormal: Path | None = typer.Option(None, help="Folder of abnormal scans; those of DATA are normal then."),
    masks: Path | None = typer.Option(None, help="Folder of lesion masks, named as their scans."),
    patient: str | None = PATIENT,
    image: str | None = IMAGE,
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    set_: list[str] | None = SET,
    show_command: bool = SHOW_COMMAND,
    trust: bool = TRUST,
) -> None:
    """Score labelled scans volume by volume, and write figures with intervals by patient, tables and a report."""
    with quick_imports():
        from qfae_monai.model.bundle import parse_settings
        from qfae_monai.model.runs import Data, evaluation

    settings = parse_settings(set_ or [])
    labelled = Data(data, abnormal, masks, patient, image, volume, tuple(include or ()))
    run = evaluation(model, labelled, output, settings=settings, trusted=trust)
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
    """Take thresholds from normal scans into a model, instead of those that it has."""
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
