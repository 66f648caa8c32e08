"""Bytes for libraries that open files by name only, kept so that none outlives the process, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

__all__ = ["scratch_file"]

DESCRIPTORS = Path("/proc/self/fd")  # where Linux lists a process's open files, those without a name too


@contextmanager
def scratch_file() -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write into, and a path that opens it within this process; flush before the path is used.

    On Linux neither has a name in any folder: the kernel frees the file with the process, also a killed one. Elsewhere
    it lies in the folder of temporary files until the block ends.
    """
    if DESCRIPTORS.is_dir():
        with TemporaryFile() as stream:
            yield stream, DESCRIPTORS / str(stream.fileno())
        return
    with TemporaryDirectory(prefix="qfae-") as folder, Path(folder, "file").open("w+b") as stream:
        yield stream, Path(folder, "file")
