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
    context: typer.Context,
    scans: Path = typer.Argument(help="Normal scans: a folder, data list, prepared folder or BIDS data set."),
    output: Path = typer.Option(..., "-o", "--output", help="Model folder to write."),
    abnormal: Path | None = typer.Option(None, help="Folder of abnormal scans for the test."),
    masks: Path | None = typer.Option(None, help="Folder of lesion masks; a mask has the same name as its scan."),
    patient: str | None = PATIENT,
    image: str | None = IMAGE,
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    plan: Path | None = typer.Option(None, help="Plan file to use instead of a new plan; see --plan-only."),
    plan_only: bool = typer.Option(False, "--plan-only", help="Write the plan and the split, and stop."),
    weights: list[Path] | None = typer.Option(
        None, help="Folder of pretrained weights; default: the plan's, or QFAE_WEIGHTS (environment). Repeatable."
    ),
    images: int | None = typer.Option(
        None, min=1, help="Total number of images (slices) to train on; default: the plan's."
    ),
    held_out: float = typer.Option(0.2, callback=rate, help="Share of normal patients to hold out for the thresholds."),
    false_positive_rate: float = typer.Option(0.05, callback=rate, help="False-positive rate of the thresholds."),
    seed: int = typer.Option(42, min=0, help="Random seed of the split and of the training."),
    include_weights: bool | None = typer.Option(
        None,
        "--include-weights/--no-include-weights",
        help="Copy frozen networks into the model; default: if licence and size allow.",
    ),
    group_duplicates: bool = typer.Option(
        False, "--group-duplicates", help="Keep near-duplicates in one part of the split, as scans of one patient."
    ),
    show_command: bool = SHOW_COMMAND,
) -> None:
    """Train a model on normal scans: plan, split by patient, train, compute thresholds; evaluate if there are labels.

    Started again with the same arguments after any interruption, it goes on where it stopped.
    """
    with quick_imports():
        from qfae_monai.model.runs import Data
        from qfae_monai.model.training import Training, Wishes

    known = [Path(text) for text in os.environ.get("QFAE_WEIGHTS", "").split(os.pathsep) if text]
    folders = weights or ([] if plan else known)  # a plan says where its weights are
    for folder in weights or []:
        if not folder.is_dir():
            raise FileNotFoundError(f"--weights {folder}: expected a folder of pretrained weights, got no such folder")
    grouped = group_duplicates or None
    wishes = Wishes(tuple(folders), images, held_out, false_positive_rate, seed, include_weights, grouped)
    data = Data(scans, abnormal, masks, patient, image, volume, tuple(include or ()))
    sources = {name: context.get_parameter_source(name) for name in context.params}
    named = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    training = Training(data, output, wishes, plan=plan, named=named, say=echo)
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
    method: Method = typer.Argument(
        help="mae: the perceptual network; dino: the encoder (needs the extra `pretraining`)."
    ),
    scans: Path = typer.Argument(help="Normal scans: a folder, data list, prepared folder or BIDS data set."),
    output: Path = typer.Option(..., "-o", "--output", help="Folder to write: weights, model card and report."),
    size: Size = typer.Option(
        Size.tiny, help="Size of the network. tiny: minutes on two cores; small: hours on a GPU; base: days."
    ),
    patient: str | None = PATIENT,
    image: str | None = IMAGE,
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    set_: list[str] | None = SET,
    show_command: bool = SHOW_COMMAND,
) -> None:
    """Train your own frozen network on normal scans; `qfae train --weights` uses its weights."""
    with quick_imports():
        from qfae_monai.model.bundle import parse_settings
        from qfae_monai.model.runs import Data, pretraining
        from qfae_monai.pretraining.card import read_card_file

    settings = parse_settings(set_ or [])
    data = Data(scans, patient=patient, image=image, volume=volume, include=tuple(include or ()))
    run_id, bundle, notes = pretraining(method.value, data, output, size=size.value, settings=settings)
    for note in notes:
        echo(note)
    if show_command:
        echo(bundle.command(run_id), lines=True)
        return
    bundle.run(run_id, quiet=True)
    weights = output / f"{method.value}.safetensors"
    if (card := weights.with_suffix(".json")).is_file():  # elsewhere where a setting says so
        echo(read_card_file(card)["judgement"]["summary"])
    echo(f"weights: {weights}; report: {output / 'report.html'}")


# `qfae prepare`: from a raw data set to what is trained on, by the recipe that knows its layout.

ALL_TO_THE_RECIPE = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
HELP = ("--help", "-h")


def prepare(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Name of a recipe; without a name, all recipes are listed.", show_default=False)
    ] = None,
) -> None:
    """Prepare slices from raw scans: `qfae prepare NAME INPUT OUTPUT`. Without a NAME, list the recipes."""
    if name is None or name in HELP:
        echo(
            "usage: qfae prepare NAME INPUT OUTPUT [OPTIONS]; qfae prepare NAME --help shows its options\n", lines=True
        )
        for known, first in recipes().items():
            echo(f"{known:10} {first}")
        return
    recipe(name).app(args=context.args, prog_name=f"qfae prepare {name}")
