"""UIDs of new objects."""

from __future__ import annotations

from pydicom.uid import generate_uid

__all__ = ["new_uid"]


def new_uid() -> str:
    """A random UID under 2.25: it says nothing of place or time, and no two results share one."""
    return str(generate_uid(prefix=None))
