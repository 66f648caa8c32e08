"""`qfae encoders`: which frozen networks to use, by training with each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from qfae_monai.cli.experiments import parse_seeds, settings_of
from qfae_monai.cli.options import PRESET, SET, TRUST
from qfae_monai.screen import echo

app = typer.Typer(no_args_is_help=True, help="Frozen networks: compare your own with random and public networks.")


@app.callback()
def encoders() -> None:
    """Frozen networks: compare your own with random and public networks."""


@app.command()
def compare(
    data: list[Path] = typer.Option(
        ..., help="Folder of a data set. Repeat it for each fold; folds have different test patients."
    ),
    output: Path = typer.Option(..., help="Folder for the runs and the table; complete runs in it are kept."),
    encoder: list[str] = typer.Option(
        [],
        help="NAME=FILE (weights with their model card), NAME=random:FILE or NAME=OVERLAY.yaml; {fold} in FILE is "
        "replaced by the name of the fold's folder. Repeatable.",
    ),
    perceptual: list[str] = typer.Option([], help="Perceptual network, in the same form as --encoder. Repeatable."),
    robust: list[str] = typer.Option([], help="NAME of an overlay experiments/robust-NAME to try. Repeatable."),
    robust_on: list[str] = typer.Option(
        [], help="ENCODER+PERCEPTUAL pair to try --robust with; default: all pairs. Repeatable."
    ),
    only: list[str] = typer.Option(
        [], help="ENCODER+PERCEPTUAL[+ROBUST] combination to run; default: all. Repeatable."
    ),
    preset: str = PRESET,
    config: list[str] = typer.Option([], help="Overlay: a name such as datasets/phantoms, or a file. Repeatable."),
    seeds: str = typer.Option("42", help="Seeds, separated by commas; one training per seed."),
    epochs: int | None = typer.Option(None, min=1, help="Epochs of every training; default: the number of the preset."),
    set_: list[str] | None = SET,
    own: list[str] = typer.Option(
        [], "--with", help="NAME:KEY=VALUE: set KEY for every combination that contains NAME. Repeatable."
    ),
    weights: Path | None = typer.Option(None, help="Folder with public weights; default: models/pretrained."),
    trust: bool = TRUST,
) -> None:
    """Train QFAE with every pair of encoder and perceptual network at equal budget; show one table with intervals."""
    from qfae_monai.evaluation.encoder_page import format_encoders, write_encoders
    from qfae_monai.experiments.encoder_comparison import Budget, combine, compare_encoders
    from qfae_monai.experiments.frozen import ROLES, built_in, parse_network
    from qfae_monai.files import write_whole
    from qfae_monai.files.configurations import check_trusted

    given = {"preset": preset} | settings_of(set_, weights) | ({} if epochs is None else {"max_epochs": epochs})
    overlays = ["train", *map(_overlay, config)]
    budget = Budget(data, overlays, parse_seeds(seeds), given, _own(own))
    texts = {"encoder": encoder, "perceptual": perceptual}
    named = {role: [parse_network(text, role) for text in texts[role]] for role in ROLES}
    folds = [folder.resolve().name for folder in data]
    files = [one.overlay_file(fold) for role in ROLES for one in named[role] for fold in folds]
    check_trusted([file for file in (*files, *overlays) if isinstance(file, Path)], trusted=trust)
    networks = {role: [*built_in(overlays, role, given), *named[role]] for role in ROLES}
    combinations = combine(networks["encoder"], networks["perceptual"], robust, robust_on=robust_on, only=only)
    for role in ROLES:
        used = {getattr(one, role).name for one in combinations}
        if unused := [one.name for one in named[role] if one.name not in used]:
            echo(f"left out by --only: --{role} {', '.join(unused)}")
    table = compare_encoders(combinations, budget, output, progress=echo)
    text = format_encoders(table)
    write_whole(output / "encoders.md", text)
    page = write_encoders(output / "encoders.html", table)
    echo(text, lines=True)
    echo(f"written: {page}, {', '.join(str(output / f'encoders.{end}') for end in ('md', 'csv', 'json'))}")


def _overlay(text: str) -> str | Path:
    """Name of a configuration, or file of another."""
    from qfae_monai.files.configurations import SUFFIXES

    return Path(text).resolve() if text.endswith(SUFFIXES) else text


def _own(pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, colon, setting = pair.partition(":")
        if not colon or "=" not in setting:
            raise ValueError(f"--with: expected NAME:KEY=VALUE, got {pair!r}")
        found.setdefault(name, {}).update(settings_of([setting], None))
    return found
