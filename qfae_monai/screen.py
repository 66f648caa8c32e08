"""Safe printing to a screen or log: characters of data that a terminal would obey are shown instead.

CWE-150. A name or description may hold escape sequences that clear the screen, set its title or, in some terminals, run
a command; carriage returns, line feeds and bidirectional overrides make one line look like another.
"""

from __future__ import annotations

import logging
import warnings
from types import TracebackType
from typing import Any

import typer

from qfae_monai.files.tables import printable

__all__ = ["PrintableFormatter", "echo", "echo_error", "guard_messages"]


def echo(text: object, *, err: bool = False, lines: bool = False) -> None:
    """Print; the only way to the screen of every command. `lines` as in `printable`."""
    typer.echo(printable(text, lines=lines), err=err)


def echo_error(error: BaseException) -> None:
    """Print what the user can act on, as one line on stderr."""
    echo(f"error: {' '.join(str(error).split())}", err=True)


def guard_messages() -> None:
    """Let this process's warnings and log records through `printable`, but where a handler formats in its own way."""
    warnings.formatwarning = _format_warning
    last = [] if logging.lastResort is None else [logging.lastResort]  # where nobody set up logging
    for handler in (*last, *logging.getLogger().handlers):
        before = handler.formatter or logging.Formatter()
        if type(before) is logging.Formatter:
            handler.setFormatter(PrintableFormatter(before._fmt, before.datefmt))


class PrintableFormatter(logging.Formatter):
    """Log records whose message is one line, whatever the data that it quotes; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        return printable(super().formatException(ei), lines=True)


def _format_warning(message: Warning | str, category: type[Warning], *place: Any, **_: Any) -> str:
    return f"{category.__name__}: {printable(message)}\n"
