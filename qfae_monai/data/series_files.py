"""From what a user points at (folder, file, list, zip archive) to files to read, guarded against hostile archives."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

__all__ = ["MAX_BYTES", "MAX_RATIO", "VOLUME_SUFFIXES", "SourceFile", "is_hidden", "open_source"]

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
MAX_BYTES = 16 << 30  # what an archive may hold or a header may declare, in bytes
MAX_RATIO = 1000  # uncompressed over compressed bytes; deflate ends at 1032, scans stay below 10, masks below 700
RATIO_FREE_BYTES = 64 << 20  # small contents may be compressed as far as they like
MAX_MEMBERS = 100_000
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Args:
        path: where its bytes are.
        name: what it is called in messages and results; differs from ``path`` inside of an archive.
    """

    path: Path
    name: Path

    @property
    def is_volume(self) -> bool:
        """Whether it is a NIfTI, NRRD or MetaImage by its name; anything else may be DICOM."""
        return self.name.name.lower().endswith(VOLUME_SUFFIXES)


@contextmanager
def open_source(source: str | PathLike | Sequence[str | PathLike]) -> Iterator[tuple[list[SourceFile], bool]]:
    """Files of a source, which stay readable within the context.

    Args:
        source: a folder (read with its sub-folders), a file, a list of files, or a .zip archive.

    Yields:
        The files in the order of their names, and whether the user named them one by one: then each has to be an image.

    Raises:
        FileNotFoundError: when a file or folder is missing, or there is none in it.
        ValueError: when an archive is damaged, encrypted or too large.
    """
    if not isinstance(source, str | PathLike):
        files = [SourceFile(path, path) for path in map(Path, source)]
        for file in files:
            if not file.path.is_file():
                raise FileNotFoundError(f"{file.name}: expected a file, got no such file.")
        if not files:
            raise FileNotFoundError("expected a list of files, got an empty one.")
        yield files, True
        return
    path = Path(source)
    if path.is_dir():
        found = sorted(entry for entry in path.rglob("*") if entry.is_file() and not is_hidden(entry, path))
        if not found:
            raise FileNotFoundError(f"{path}: expected a folder with images, got an empty one.")
        yield [SourceFile(entry, entry) for entry in found], False
    elif not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file or folder, got no such path.")
    elif path.suffix.lower() == ".zip":
        with TemporaryDirectory(prefix="qfae-") as folder:
            yield _extract(path, Path(folder)), False
    else:
        yield [SourceFile(path, path)], True


def is_hidden(entry: Path, folder: Path) -> bool:
    """Whether a file, or a folder that it lies in below `folder`, is hidden or an archiver's own."""
    return entry != folder and any(
        (part.startswith(".") and part != "..") or part == "__MACOSX" for part in entry.relative_to(folder).parts
    )


def _extract(archive: Path, folder: Path) -> list[SourceFile]:
    """Files of an archive, written under names of our own: a member's name never becomes a path."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            members = [member for member in members if not is_hidden(Path("/") / member.filename, Path("/"))]
            _check_members(archive, members)
            files = []
            for number, member in enumerate(sorted(members, key=lambda member: member.filename)):
                inner = Path(member.filename)
                target = folder / f"{number:06d}{''.join(inner.suffixes[-2:])}".replace("/", "_")
                with opened.open(member) as stream, target.open("wb") as output:
                    _copy(stream, output, member.file_size)
                files.append(SourceFile(target, archive / inner))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise ValueError(
            f"{archive}: expected a zip archive of images, got one that cannot be read ({error})."
        ) from error
    except Exception as error:  # zlib, lzma and bz2 have errors of their own
        raise ValueError(f"{archive}: expected a zip archive of images, got a damaged one ({error}).") from error
    if not files:
        raise ValueError(f"{archive}: expected a zip archive of images, got an empty one.")
    return files


def _check_members(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"expected at most {MAX_MEMBERS} files, got {len(members)}")
    size, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if packed > archive.stat().st_size:
        raise ValueError(f"its index names {packed} compressed bytes, the file has {archive.stat().st_size}")
    if size > MAX_BYTES or size > max(RATIO_FREE_BYTES, MAX_RATIO * packed):
        raise ValueError(f"it would grow from {packed} to {size} bytes, more than an archive of images does")
    for member in members:
        if member.flag_bits & 1:
            raise ValueError(f"{member.filename} is encrypted")


def _copy(stream: IO[bytes], output: IO[bytes], size: int) -> None:
    """Copy no more than the archive's index declared."""
    written = 0
    while chunk := stream.read(CHUNK):
        written += len(chunk)
        if written > size:
            raise ValueError(f"a member is longer than the {size} bytes of the index")
        output.write(chunk)
