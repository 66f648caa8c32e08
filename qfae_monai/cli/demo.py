"""`qfae demo`: phantoms, training, evaluation, maps and a montage, through the same bundle files as everything else."""

from __future__ import annotations

from pathlib import Path

import typer

from qfae_monai.cli.trust import TRUST
from qfae_monai.files.configurations import check_trusted
from qfae_monai.installed import bundle_folder
from qfae_monai.screen import echo

BUNDLE = bundle_folder()


def demo(
    output: Path = typer.Option(Path("demo"), help="Folder for data, checkpoint, maps, montage and summary."),
    bundle: Path = typer.Option(BUNDLE, help="The bundle's folder.", show_default="the installation's"),
    seed: int = typer.Option(0, min=0, help="Of the phantoms and of the training."),
    epochs: int | None = typer.Option(None, min=1, help="Instead of the preset's."),
    volumes: int = typer.Option(160, min=2, help="Normal volumes to train on."),
    trust: bool = TRUST,
) -> None:
    """Make a phantom cohort, train on its normal volumes, evaluate, and show what was found."""
    from qfae_monai.report.demo_run import run_demo  # noqa: PLC0415  (keeps `qfae --help` quick)

    if not (bundle / "configs" / "train.json").is_file():
        raise FileNotFoundError(f"{bundle}: expected the bundle's folder with configs/train.json")
    check_trusted(bundle, trusted=trust)
    echo(run_demo(output, bundle, seed=seed, epochs=epochs, volumes=volumes), lines=True)
