"""`qfae demo`: phantoms, training, evaluation, maps and a montage, through the same bundle files as everything else."""

from __future__ import annotations

from pathlib import Path

import typer

from qfae_monai.screen import echo


def demo(
    output: Path = typer.Option(Path("demo"), help="Folder for data, model, maps, montage and summary."),
    seed: int = typer.Option(0, min=0, help="Of the phantoms and of the training."),
    epochs: int | None = typer.Option(None, min=1, help="Instead of the preset's."),
    volumes: int = typer.Option(160, min=2, help="Normal volumes to train on."),
) -> None:
    """Make a phantom cohort, train on its normal volumes, evaluate, and show what was found."""
    from qfae_monai.experiments.demo_run import run_demo  # noqa: PLC0415  (keeps `qfae --help` quick)

    echo(run_demo(output, seed=seed, epochs=epochs, volumes=volumes), lines=True)
