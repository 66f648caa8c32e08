"""Libraries kept from saying what they read: their warnings quote headers, which may name a patient."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_libraries"]

TALKATIVE = ("pydicom", "nibabel", "nibabel.global", "PIL", "highdicom")  # loggers that quote headers


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within it, libraries say nothing of the headers that they read, which they would quote on the screen."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
