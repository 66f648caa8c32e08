"""The one option with which a user says that configurations from elsewhere are trusted."""

from __future__ import annotations

import typer

TRUST = typer.Option(
    False, "--trust", help="Run configurations from elsewhere: they are code (`qfae inspect` shows it and runs none)."
)
