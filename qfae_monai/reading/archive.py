"""Members of a .zip archive, read where they lie, and bytes for libraries that open files by name only."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, BinaryIO, cast

__all__ = ["MAX_BYTES", "MAX_RATIO", "Member", "archive_of", "is_hidden", "open_archive", "scratch_file"]

# Bytes for libraries that open files by name only, kept so that none outlives the process, however that ends.

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


MAX_BYTES = 16 << 30  # what an archive may hold or a header may declare, in bytes
MAX_RATIO = 1000  # uncompressed over compressed bytes; deflate ends at 1032, scans stay below 10, masks below 700
RATIO_FREE_BYTES = 64 << 20  # small contents may be compressed as far as they like
MAX_MEMBERS = 100_000
SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"})


@dataclass(frozen=True, eq=False)
class Member:
    """A file within an opened archive.

    Attributes:
        archive: is open as long as its member is read.
        info: its entry in the archive's index.
    """

    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    @property
    def size(self) -> int:
        """Bytes that the index declares."""
        return self.info.file_size

    def open(self) -> BinaryIO:
        """Its content as a stream, which ends with an error where the checksum is another.

        Raises:
            ValueError: when the index contradicts the archive's size, or it grows more than an image does.
        """
        packed = self.info.compress_size
        if self.is_outside:
            raise ValueError(f"its index names {packed} compressed bytes, the archive ends before them")
        if self.is_bursting:
            raise ValueError(f"it would grow from {packed} to {self.size} bytes, more than an image does")
        return cast(BinaryIO, self.archive.open(self.info))

    @property
    def is_outside(self) -> bool:
        """Whether the index puts it where the archive has no room for it."""
        end: int = self.archive.start_dir  # where the index starts
        return not 0 <= self.info.header_offset <= end - self.info.compress_size

    @property
    def is_bursting(self) -> bool:
        """Whether it would grow beyond what an image does."""
        return self.size > min(MAX_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * self.info.compress_size))


@contextmanager
def open_archive(archive: Path) -> Iterator[dict[Path, Member]]:
    """Its files by their names, which lie below the archive whatever the index says; readable within the context.

    Raises:
        ValueError: when its index is damaged, names too many files or more bytes than an archive of images holds, or
            there is none.
    """
    refused = f"{archive}: expected a zip archive of images, got"
    try:
        opened = zipfile.ZipFile(archive)
    except Exception as error:  # of the index: zipfile raises whatever its parsing stumbles over
        raise ValueError(f"{refused} one that cannot be read ({error})") from error
    with opened:
        infos = sorted((info for info in opened.infolist() if not info.is_dir()), key=lambda info: info.filename)
        members = _named(archive, [Member(opened, info) for info in infos])
        try:
            _check(archive, [member for member in members.values() if not member.is_outside])
        except ValueError as error:
            raise ValueError(f"{refused} one that cannot be read ({error})") from error
        if not members:
            raise ValueError(f"{refused} an empty one")
        yield members


def archive_of(path: Path) -> Path | None:
    """The archive that a path leads into; None where there is none."""
    return next((part for part in path.parents if part.suffix.lower() == ".zip" and part.is_file()), None)


def is_hidden(entry: Path, folder: Path) -> bool:
    """Whether a file, or a folder that it lies in below `folder`, is hidden or an archiver's or file manager's own.

    >>> [is_hidden(Path("in", name), Path("in")) for name in ("._a.nii", ".DS_Store", "Thumbs.db", "a.nii")]
    [True, True, True, False]
    """
    return entry != folder and any(
        (part.startswith(".") and part != "..") or part.lower() in SYSTEM_NAMES
        for part in entry.relative_to(folder).parts
    )


def _check(archive: Path, members: list[Member]) -> None:
    """Refuse an archive that would grow beyond measure, or whose members share their bytes."""
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"expected at most {MAX_MEMBERS} files, got {len(members)}")
    packed = sum(member.info.compress_size for member in members)
    if packed > archive.stat().st_size:
        raise ValueError(f"its index names {packed} compressed bytes, the file has {archive.stat().st_size}")
    # one that grows beyond measure is refused alone, unless there is nothing else
    sound = [member for member in members if not member.is_bursting] or members
    size = sum(member.size for member in sound)
    if size > MAX_BYTES or size > max(RATIO_FREE_BYTES, MAX_RATIO * packed):
        raise ValueError(f"it would grow from {packed} to {size} bytes, more than an archive of images does")


def _named(archive: Path, members: list[Member]) -> dict[Path, Member]:
    """Names below the archive: without roots and steps upwards, and numbered where they occur again; no hidden ones."""
    named: dict[Path, Member] = {}
    for number, member in enumerate(members):
        parts = [part for part in Path(member.info.filename).parts if part not in ("..", Path(part).anchor)]
        name = archive.joinpath(*(parts or ["unnamed"]))
        if not is_hidden(name, archive):
            named[archive / str(number) / name.relative_to(archive) if name in named else name] = member
    return named
