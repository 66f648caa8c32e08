"""`qfae train`, `qfae pretrain` and `qfae prepare`: from scans to a model."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from qfae_monai.cli.options import IMAGE, INCLUDE, INTERRUPTED, PATIENT, SET, SHOW_COMMAND, VOLUME, quick_imports, rate
from qfae_monai.files.installed import recipe, recipes
from qfae_monai.screen import echo

# `qfae train`: from a folder of normal scans to a model, in one command that goes on where it stopped.


def train(
    scans: Path = typer.Argument(help="Normal scans: a folder, data list, prepared folder or BIDS data set."),
    output: Path = typer.Option(..., "-o", "--output", help="Folder of the model."),
    abnormal: Path | None = typer.Option(None, help="Folder of abnormal scans, to test with."),
    masks: Path | None = typer.Option(None, help="Folder of lesion masks, named as their scans."),
    patient: str | None = PATIENT,
    image: str | None = IMAGE,
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    plan: Path | None = typer.Option(None, help="Plan to follow instead of a new one; see --plan-only."),
    plan_only: bool = typer.Option(False, "--plan-only", help="Write the plan and the split, and stop."),
    weights: list[Path] | None = typer.Option(
        None, help="Folder of pretrained weights; default: QFAE_WEIGHTS. May be given often."
    ),
    images: int | None = typer.Option(None, min=1, help="Budget: images that the training sees, in all."),
    held_out: float = typer.Option(0.2, callback=rate, help="Share of normal patients that thresholds come from."),
    false_positive_rate: float = typer.Option(0.05, callback=rate, help="That thresholds are to keep."),
    seed: int = typer.Option(42, min=0, help="Of the split and of every draw."),
    include_weights: bool | None = typer.Option(
        None, "--include-weights/--no-include-weights", help="Frozen networks as files; default: where licences allow."
    ),
    show_command: bool = SHOW_COMMAND,
) -> None:
    """Look at scans, plan, split by patient, train, calibrate and, where labels are given, evaluate.

    Started again with the same arguments after any interruption, it goes on where it stopped.
    """
    with quick_imports():
        from qfae_monai.model.runs import Data
        from qfae_monai.model.training import Training, Wishes

    folders = weights or [Path(text) for text in os.environ.get("QFAE_WEIGHTS", "").split(os.pathsep) if text]
    for folder in weights or []:
        if not folder.is_dir():
            raise FileNotFoundError(f"--weights {folder}: expected a folder of pretrained weights, got no such folder")
    wishes = Wishes(tuple(folders), images, held_out, false_positive_rate, seed, include_weights)
    data = Data(scans, abnormal, masks, patient, image, volume, tuple(include or ()))
    training = Training(data, output, wishes, plan=plan, say=echo)
    if plan_only or show_command:
        steps = training.steps(training.plan())
        if show_command:
            for run_id, bundle in steps:
                echo(bundle.command(run_id), lines=True)
        echo(f"plan: {output / 'training' / 'plan.yaml'}; edit a copy and give it with --plan")
        return
    try:
        model = training.run()
    except KeyboardInterrupt:
        echo(f"interrupted: the same command goes on in {output}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    echo(f"{model}: `qfae model show {model}` prints its card, `qfae predict -i SCANS -o RESULTS -m {model}` uses it")


# `qfae pretrain`: frozen networks of one's own, from one's own normal scans.


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


# `qfae prepare`: from a raw data set to what is trained on, by the recipe that knows its layout.

ALL_TO_THE_RECIPE = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
HELP = ("--help", "-h")


def prepare(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Recipe; none lists them all.", show_default=False)] = None,
) -> None:
    """Turn raw scans into what is trained on: `qfae prepare NAME INPUT OUTPUT`; alone, it lists the names."""
    if name is None or name in HELP:
        echo(
            "usage: qfae prepare NAME INPUT OUTPUT [OPTIONS]; qfae prepare NAME --help shows its options\n", lines=True
        )
        for known, first in recipes().items():
            echo(f"{known:10} {first}")
        return
    recipe(name).app(args=context.args, prog_name=f"qfae prepare {name}")
