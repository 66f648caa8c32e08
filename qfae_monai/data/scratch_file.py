"""Bytes for libraries that open files by name only, kept so that none outlives the process, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

__all__ = ["scratch_file"]

DESCRIPTORS = Path("/proc/self/fd")  # where Linux lists a process's open files, those without a name too


@contextmanager
def scratch_file(suffix: str = "") -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write into, and a path that opens it within this process; flush before the path is used.

    On Linux the file has no name: the kernel frees it with the process, also a killed one. Elsewhere it lies in the
    folder of temporary files until the block ends.

    Args:
        suffix: of the path, for libraries that go by it.
    """
    with ExitStack() as stack:
        if not DESCRIPTORS.is_dir():
            path = Path(stack.enter_context(TemporaryDirectory(prefix="qfae-"))) / f"file{suffix}"
            yield stack.enter_context(path.open("w+b")), path
            return
        stream = stack.enter_context(TemporaryFile())
        path = DESCRIPTORS / str(stream.fileno())
        if suffix:
            link = Path(stack.enter_context(TemporaryDirectory(prefix="qfae-"))) / f"file{suffix}"
            link.symlink_to(f"/proc/{os.getpid()}/fd/{stream.fileno()}")
            path = link
        yield stream, path
