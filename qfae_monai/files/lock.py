"""One run at a time in an output: a lock that the system releases when its process ends, however it ends."""

from __future__ import annotations

import atexit
import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qfae_monai.files.whole import remove_partials

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["LOCK", "give_back", "one_writer", "take"]

logger = logging.getLogger(__name__)

LOCK = ".qfae.lock"
HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)  # what systems say of a lock that another holds
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # some network file systems

_held: dict[Path, tuple[int, bool]] = {}  # folder -> descriptor of its lock, and whether `take` made the folder


def _forget() -> None:
    """In a forked process, such as one that loads data: the lock is its parent's, and ends with that."""
    for descriptor, _ in _held.values():
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def one_writer(output: Path) -> Iterator[None]:
    """Around everything that writes into an output folder, before anything is read for it.

    Raises:
        ValueError: if another process writes into it.
        OSError: if it cannot be written to.
    """
    take(output)
    try:
        yield
    finally:
        give_back(output)


def take(output: Path) -> None:
    """Make an output folder this process's own until `give_back`; what killed runs left unfinished in it is removed.

    Args:
        output: folder, made if it is missing; one that this process holds already is held once.

    Raises:
        ValueError: if another process writes into it.
        OSError: if it cannot be written to.
    """
    folder = Path(output).resolve()
    if folder in _held:  # one command may ask twice
        return
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(folder / LOCK)
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"{output}: expected a folder that can be written to, got: {reason}") from None
    if descriptor is None:
        raise ValueError(f"{output}: expected no other run in this output, got one that is still writing into it")
    _held[folder] = descriptor, made
    atexit.register(give_back, folder)  # a run that fails leaves neither the lock nor an empty folder
    remove_partials(folder)


def give_back(output: Path) -> None:
    """End what `take` began: nothing of the lock stays behind, nor a folder that it made and nobody filled."""
    folder = Path(output).resolve()
    if folder not in _held:
        return
    descriptor, made = _held.pop(folder)
    with suppress(OSError):
        if sys.platform == "win32":  # no file is removed there while it is open
            os.close(descriptor)
        (folder / LOCK).unlink(missing_ok=True)
    with suppress(OSError):
        os.close(descriptor)
    if made:
        with suppress(OSError):
            folder.rmdir()


def _locked(path: Path) -> int | None:
    """Descriptor of a lock file of which this process is the only holder; None where another holds it."""
    while True:
        # NOFOLLOW: a link could point anywhere
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in HELD:
                return None
            raise
        # its last holder removes the file: what was opened just before that is a lock of nothing
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        logger.warning("this file system has no locks: expected that no other run writes into the same output")
