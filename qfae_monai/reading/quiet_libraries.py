"""Libraries kept from saying what they read: their warnings quote headers, which may name a patient."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["TALKATIVE", "quiet_headers", "quiet_libraries", "quiet_loggers"]

TALKATIVE = ("pydicom", "nibabel", "nibabel.global", "PIL", "highdicom")  # loggers that quote headers
SILENT = logging.CRITICAL + 1


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
    # those that say nothing already are left alone: each change empties the caches of all loggers
    levels = {logger: logger.level for logger in loggers if logger.level != SILENT}
    for logger in levels:
        logger.setLevel(SILENT)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
