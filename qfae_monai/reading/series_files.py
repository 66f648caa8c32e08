"""Files to read in what a user points at: a folder, a file, a list or a zip archive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from qfae_monai.files.whole import entries_below
from qfae_monai.reading.archive import MAX_BYTES, MAX_RATIO, Member, archive_of, is_hidden, open_archive, scratch_file
from qfae_monai.reading.left_aside import LeftAside

__all__ = [
    "MAX_BYTES",
    "MAX_RATIO",
    "VOLUME_SUFFIXES",
    "Opened",
    "SourceFile",
    "SourcePaths",
    "is_hidden",
    "open_source",
    "walk",
]

SourcePaths = str | PathLike | Sequence[str | PathLike]
"""What a user points at: a folder, a file, an archive, or a list of files."""

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Attributes:
        path: of the file, or of the archive that holds it.
        name: what it is called in messages and results; differs from `path` inside of an archive.
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


@dataclass(frozen=True)
class Opened:
    """Files of a source, in the order of their names.

    Attributes:
        files: to be read.
        named: whether the user named them one by one: then each has to be an image.
        aside: what of a folder is no file to read: hidden files, links that lead nowhere.
    """

    files: list[SourceFile]
    named: bool = False
    aside: tuple[LeftAside, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether the user named this one file, and so means it whatever it is."""
        return self.named and len(self.files) == 1


@contextmanager
def open_source(source: SourcePaths) -> Iterator[Opened]:
    """Files of a source, which stay readable within the context.

    Args:
        source: a folder (read with its sub-folders), a file, a list of files, or a .zip archive. A path that leads into
            an archive (`study.zip/a/1.dcm`) is a file, too.

    Raises:
        FileNotFoundError: when a file or folder is missing, or there is none in it.
        ValueError: when an archive is damaged or too large.
    """
    with ExitStack() as stack:
        if not isinstance(source, str | PathLike):
            yield Opened(_listed([Path(path) for path in source], stack), named=True)
            return
        path = Path(source)
        if path.is_dir():
            found, aside = walk(path)
            if not found and not aside:
                raise FileNotFoundError(f"{path}: expected a folder with images, got an empty one")
            yield Opened([SourceFile(entry, entry) for entry in found], aside=tuple(aside))
        elif path.is_file() and path.suffix.lower() == ".zip":
            members = stack.enter_context(open_archive(path))
            yield Opened([SourceFile(path, name, member) for name, member in members.items()])
        elif path.is_file() or archive_of(path):
            yield Opened(_listed([path], stack), named=True)
        else:
            raise FileNotFoundError(f"{path}: expected a file or folder, got no such path")


def walk(folder: Path) -> tuple[list[Path], list[LeftAside]]:
    """Files to read of a folder and its sub-folders, sorted, and what else there is.

    Left aside are links that lead nowhere (as git-annex and DataLad leave them where the content was not fetched),
    folders behind links or closed to this user, and files of file managers and archivers.
    """
    files, others = entries_below(folder)
    aside = [_no_file(other) for other in others if not (other.is_symlink() and is_hidden(other, folder))]
    hidden = [file for file in files if is_hidden(file, folder)]
    aside += [LeftAside(file, "hidden file", "files of file managers and archivers are no scans") for file in hidden]
    return [file for file in files if not is_hidden(file, folder)], sorted(aside, key=lambda one: str(one.path))


def _no_file(path: Path) -> LeftAside:
    """Link to no file or closed folder, with the reason that it is left aside."""
    if not path.is_symlink():
        return LeftAside(path, "closed folder", "it cannot be opened by this user")
    if path.is_dir():
        return LeftAside(path, "folder behind a link", "it is not entered: name the folder itself")
    annex = "annex/objects" in os.readlink(path).replace("\\", "/")
    how = (
        "its content was not fetched: `git annex get` or `datalad get` does" if annex else "there is no file at its end"
    )
    return LeftAside(path, "dead link", how)


def _listed(paths: list[Path], stack: ExitStack) -> list[SourceFile]:
    """Files that were named one by one; each archive among them is opened once."""
    if not paths:
        raise FileNotFoundError("expected a list of files, got an empty one")
    archives: dict[Path, dict[Path, Member]] = {}
    files = []
    for path in paths:
        archive = None if path.is_file() else archive_of(path)
        if archive is not None and archive not in archives:
            archives[archive] = stack.enter_context(open_archive(archive))
        member = None if archive is None else archives[archive].get(path)
        if member is None and not path.is_file():
            raise FileNotFoundError(f"{path}: expected a file, got no such file")
        files.append(SourceFile(path if archive is None else archive, path, member))
    return files
