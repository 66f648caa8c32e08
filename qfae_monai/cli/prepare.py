"""`qfae prepare`: from a raw data set to what is trained on, by the recipe that knows its layout."""

from __future__ import annotations

from typing import Annotated

import typer

from qfae_monai.files.installed import recipe, recipes
from qfae_monai.screen import echo

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
