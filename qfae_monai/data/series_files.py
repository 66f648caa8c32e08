"""From what a user points at (folder, file, list, zip archive) to files to read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from qfae_monai.data.archive import MAX_BYTES, MAX_RATIO, Member, archive_of, is_hidden, open_archive
from qfae_monai.data.scratch_file import scratch_file

__all__ = ["MAX_BYTES", "MAX_RATIO", "VOLUME_SUFFIXES", "SourceFile", "files_below", "is_hidden", "open_source"]

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Args:
        path: of the file, or of the archive that holds it.
        name: what it is called in messages and results; differs from ``path`` inside of an archive.
        member: what it is within the archive; None outside of one.
    """

    path: Path
    name: Path
    member: Member | None = None

    @property
    def is_volume(self) -> bool:
        """Whether it is a NIfTI, NRRD or MetaImage by its name; anything else may be DICOM."""
        return self.name.name.lower().endswith(VOLUME_SUFFIXES)

    @property
    def size(self) -> int:
        """Bytes, as they are read."""
        return self.path.stat().st_size if self.member is None else self.member.size

    def open(self) -> BinaryIO:
        """Its bytes, of a member as they are inflated."""
        return self.path.open("rb") if self.member is None else self.member.open()

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """A path for libraries that open files by name; of a member, a copy that does not outlive the process.

        A copy's path has no suffix: whoever opens it says what it is.
        """
        if self.member is None:
            yield self.path
            return
        with scratch_file() as (copy, path):
            with self.open() as stream:
                shutil.copyfileobj(stream, copy)
            copy.flush()
            yield path


@contextmanager
def open_source(source: str | PathLike | Sequence[str | PathLike]) -> Iterator[tuple[list[SourceFile], bool]]:
    """Files of a source, which stay readable within the context.

    Args:
        source: a folder (read with its sub-folders), a file, a list of files, or a .zip archive. A path that leads into
            an archive (``study.zip/a/1.dcm``) is a file, too.

    Yields:
        The files in the order of their names, and whether the user named them one by one: then each has to be an image.

    Raises:
        FileNotFoundError: when a file or folder is missing, or there is none in it.
        ValueError: when an archive is damaged or too large.
    """
    with ExitStack() as stack:
        if not isinstance(source, str | PathLike):
            yield _listed([Path(path) for path in source], stack), True
            return
        path = Path(source)
        if path.is_dir():
            found = [entry for entry in files_below(path) if not is_hidden(entry, path)]
            if not found:
                raise FileNotFoundError(f"{path}: expected a folder with images, got an empty one.")
            yield [SourceFile(entry, entry) for entry in found], False
        elif path.is_file() and path.suffix.lower() == ".zip":
            members = stack.enter_context(open_archive(path))
            yield [SourceFile(path, name, member) for name, member in members.items()], False
        elif path.is_file() or archive_of(path):
            yield _listed([path], stack), True
        else:
            raise FileNotFoundError(f"{path}: expected a file or folder, got no such path.")


def files_below(folder: Path) -> list[Path]:
    """Files of a folder and its sub-folders, sorted; folders behind links, or closed to this user, are not entered."""
    found, folders = [], [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif os.path.isfile(entry.path):
                        found.append(Path(entry.path))
        except OSError:
            continue
    return sorted(found)


def _listed(paths: list[Path], stack: ExitStack) -> list[SourceFile]:
    """Files that were named one by one; each archive among them is opened once."""
    if not paths:
        raise FileNotFoundError("expected a list of files, got an empty one.")
    archives: dict[Path, dict[Path, Member]] = {}
    files = []
    for path in paths:
        archive = None if path.is_file() else archive_of(path)
        if archive is not None and archive not in archives:
            archives[archive] = stack.enter_context(open_archive(archive))
        member = None if archive is None else archives[archive].get(path)
        if member is None and not path.is_file():
            raise FileNotFoundError(f"{path}: expected a file, got no such file.")
        files.append(SourceFile(path if archive is None else archive, path, member))
    return files
