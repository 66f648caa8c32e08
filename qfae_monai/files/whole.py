"""Files written whole or not at all, hashes of files, and the files below a folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from qfae_monai.files.tables import csv_text

__all__ = [
    "PARTIAL",
    "entries_below",
    "files_below",
    "remove_partials",
    "sha256_of",
    "sha256_of_files",
    "whole_file",
    "write_csv",
    "write_json",
    "write_whole",
]

PARTIAL = ".partial-"  # begins the name of a file that is being written
KEPT_SUFFIXES = 2  # .nii.gz: writers choose their format by them


@contextmanager
def whole_file(path: Path, *, on_disk: bool = False) -> Iterator[Path]:
    """A path to write to, beside `path` and with its suffixes, that takes its name when the block ends well.

    After any exception, a full disk and an interruption among them, neither it nor half of a file is left, and what was
    there before stays.

    Args:
        path: of the file; its folder is made.
        on_disk: whether the bytes are on disk before the name is: a crash of the machine leaves no empty file under it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder, "scores.txt")) as partial:
        ...         count = partial.write_text("0.5")
        ...     [file.name for file in Path(folder).iterdir()]
        ['scores.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a name of its own for each write, and short: the file's own may be as long as a name can be
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{token_hex(4)}{''.join(path.suffixes[-KEPT_SUFFIXES:])[-32:]}")
    try:
        yield partial
        if on_disk:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Write bytes, or text as UTF-8, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: object, *, indent: int | None = 1, allow_nan: bool = True, **options: Any) -> None:
    """Write a value as JSON with a line break at its end, complete or not at all.

    Args:
        path: of the file.
        content: what JSON has a form for.
        indent: columns per level; None for one line.
        allow_nan: False refuses numbers that are none, which strict readers do not take.
        options: others of `json.dumps`.
    """
    write_whole(path, json.dumps(content, indent=indent, allow_nan=allow_nan, **options) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV, complete or not at all; None is an empty cell, and no cell runs as a formula."""
    write_whole(path, csv_text([header, *rows]))


def remove_partials(folder: Path, *, age: float = 0) -> None:
    """Remove what killed runs left unfinished in a folder.

    Args:
        folder: that is looked into, not below.
        age: seconds from which on a file counts as left; 0 is for whoever alone writes into the folder.
    """
    for partial in folder.glob(f"{PARTIAL}*"):
        with suppress(OSError):  # its writer has just renamed it, or another process has removed it
            if age == 0 or time.time() - partial.stat().st_mtime > age:
                partial.unlink()


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, 64 lower-case hexadecimal digits."""
    digest = sha256()
    with Path(path).open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_files(files: Sequence[Path]) -> str:
    """SHA-256 of one file; of several, SHA-256 of their SHA-256 digests in the order given."""
    found = [sha256_of(file) for file in files]
    return found[0] if len(found) == 1 else sha256(b"".join(map(bytes.fromhex, found))).hexdigest()


# Files and folders below a folder.


def files_below(folder: Path) -> list[Path]:
    """Files of a folder and its sub-folders, sorted, hidden ones included; folders behind links are not entered."""
    return entries_below(folder)[0]


def entries_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files as `files_below` gives them, and what is none: links to no file, folders that this user may not open."""
    found: list[Path] = []
    others: list[Path] = []
    folders = [str(folder)]
    while folders:
        above = folders.pop()
        try:
            with os.scandir(above) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif os.path.isfile(entry.path):
                        found.append(Path(entry.path))
                    elif entry.is_symlink():
                        others.append(Path(entry.path))
        except OSError:
            others.append(Path(above))
    return sorted(found), others
