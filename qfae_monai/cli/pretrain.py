"""`qfae pretrain`: frozen networks of one's own, from one's own normal scans."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import typer

from qfae_monai.cli.options import IMAGE, INCLUDE, PATIENT, SET, SHOW_COMMAND, VOLUME, quick_imports
from qfae_monai.screen import echo


class Method(str, Enum):
    """Network to train: `mae` the perceptual network, `dino` the encoder."""

    mae = "mae"
    dino = "dino"


class Size(str, Enum):
    """Of the network."""

    tiny = "tiny"
    small = "small"
    base = "base"


def pretrain(
    method: Method = typer.Argument(help="mae: the perceptual network; dino: the encoder (extra `pretraining`)."),
    scans: Path = typer.Argument(help="Normal scans: a folder, data list, prepared folder or BIDS data set."),
    output: Path = typer.Option(..., "-o", "--output", help="Folder of the weights, their card and report."),
    size: Size = typer.Option(Size.tiny, help="tiny: minutes on two cores; small: hours on a GPU; base: days."),
    patient: str | None = PATIENT,
    image: str | None = IMAGE,
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    set_: list[str] | None = SET,
    show_command: bool = SHOW_COMMAND,
) -> None:
    """Train a frozen network of one's own on normal scans: weights that `qfae train --weights` finds."""
    with quick_imports():
        from qfae_monai.model.bundle import parse_settings
        from qfae_monai.model.runs import Data, pretraining

    settings = parse_settings(set_ or [])
    data = Data(scans, patient=patient, image=image, volume=volume, include=tuple(include or ()))
    run_id, bundle, notes = pretraining(method.value, data, output, size=size.value, settings=settings)
    for note in notes:
        echo(note)
    if show_command:
        echo(bundle.command(run_id), lines=True)
        return
    bundle.run(run_id, quiet=True)
    echo(f"weights: {output / f'{method.value}.safetensors'}; report: {output / 'report.html'}")
