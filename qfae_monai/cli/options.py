"""Options that several commands share, quick imports, and signals that end a command."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

import typer

from qfae_monai.rates import check_rate

# Rates, refused before anything is read.


def rate(option: typer.CallbackParam, value: float) -> float:
    """Refuse what no threshold can keep before anything is read."""
    try:
        return check_rate(str(option.name), value)
    except ValueError as error:
        raise typer.BadParameter(str(error).partition(": ")[2]) from None


# Options that several commands have: the same name, meaning and words wherever they stand.

MODEL = typer.Option(..., "-m", "--model", help="Model folder of `qfae train`, or its .zip from `qfae model pack`.")
SET = typer.Option(
    None, "--set", help="KEY=VALUE: change a key of the configuration; VALUE is JSON or text. Repeatable."
)
TRUST = typer.Option(
    False, "--trust", help="Run configurations that hold other code than this package's (`qfae inspect` shows it)."
)
PRESET = typer.Option("tiny", help="Sizes of the networks: paper, small, tiny.")
PATIENT = typer.Option(
    None, help="Regular expression that finds the patient in a file's name or path (its first group)."
)
IMAGE = typer.Option(None, help="Pattern of the scans to use, if there are several kinds, such as '*FLAIR*'.")
VOLUME = typer.Option(
    None, help="Volume to use of a series with several: first, a number, echo=1, b=0 ...; or all of them."
)
INCLUDE = typer.Option(None, help="Kind of files to use that is otherwise left aside (see `qfae check`). Repeatable.")
SHOW_COMMAND = typer.Option(
    False, "--show-command", help="Print the `python -m monai.bundle run` lines that do the same, and stop."
)


# Quick imports: torch and MONAI in four fifths of the time.


@contextmanager
def quick_imports() -> Iterator[None]:
    """No search for garbage while modules are imported: what they make stays, and is not looked at again later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


# Signals that end a command end it as an exit does: what is unfinished is removed, and the exit code says which.

SHELLS_OFFSET = 128  # a shell's exit code of what signal N has ended is 128 + N
INTERRUPTED = SHELLS_OFFSET + signal.SIGINT
ENDING = [getattr(signal, name) for name in ("SIGHUP", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Around a command: the end of its terminal (129), SIGTERM (143) and Ctrl-C (130) end in SystemExit.

    Whoever started the command with a signal ignored, as nohup does, keeps that.
    """
    before = {number: signal.getsignal(number) for number in ENDING if current_thread() is main_thread()}
    handled = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    try:
        for number in handled:
            signal.signal(number, _end)
        yield
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        for number in handled:
            signal.signal(number, before[number])


def _end(number: int, frame: Any) -> None:
    """Once: a second signal does not interrupt the tidying up."""
    for ending in ENDING:
        signal.signal(ending, signal.SIG_IGN)
    raise SystemExit(SHELLS_OFFSET + number)
