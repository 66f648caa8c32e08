"""Libraries kept from saying what they read: their warnings quote headers, which may name a patient."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["TALKATIVE", "quiet_headers", "quiet_libraries", "quiet_loggers"]

TALKATIVE = ("pydicom", "nibabel", "nibabel.global", "PIL", "highdicom")  # loggers that quote headers


@contextmanager
def quiet_headers() -> Iterator[None]:
    """Within it, or within a function that it decorates, warnings and logs of those libraries are not shown.

    Warnings of this package are: they name files and no values.
    """
    with quiet_loggers(), warnings.catch_warnings():
        for name in TALKATIVE:
            warnings.filterwarnings("ignore", module=name)
        yield


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within it, nobody warns, and libraries say nothing of the headers that they read."""
    with quiet_loggers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def quiet_loggers() -> Iterator[None]:
    """Within it, the loggers of those libraries say nothing."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
