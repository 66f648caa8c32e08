"""Signals that end a command end it as an exit does: what is unfinished is removed, and the exit code says which."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

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
