"""`qfae inspect`: what a file or folder from elsewhere says, before anything of it is used."""

# ruff: noqa: PLC0415 (imports inside the command keep `qfae --help` quick)

from __future__ import annotations

from pathlib import Path

import typer

from qfae_monai.screen import echo


def inspect(
    path: Path = typer.Argument(help="Calibration, model card, weights, configuration, or a folder of such files."),
) -> None:
    """Show a calibration, card, weights file, configuration or folder as plain text, and run nothing in it.

    Configurations that would run code say so, in how many places and with which text.
    """
    from qfae_monai.evaluation.inspection import inspect_file, inspect_folder

    for line in inspect_folder(path) if path.is_dir() else inspect_file(path):
        echo(line)
