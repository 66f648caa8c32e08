"""SHA-256 sums of a folder of weights, in the format that `sha256sum -c SHA256SUMS` reads."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from qfae_monai.files import sha256_of, write_whole

SUMS_FILE = "SHA256SUMS"
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")  # sum, then a blank and a blank or an asterisk (binary), then the name

logger = logging.getLogger(__name__)


class ChangedFileError(ValueError):
    """A file is not the one whose sum was recorded."""


@dataclass(frozen=True)
class FolderCheck:
    """Outcome of a folder's checksum check; names are relative to the folder, with forward slashes."""

    unchanged: tuple[str, ...]
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    unlisted: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """True if every listed file is there and as recorded; unlisted files say nothing either way."""
        return not self.changed and not self.missing


def read_sums(folder: Path) -> dict[str, str]:
    """Recorded sums by file name; empty where the folder has no SHA256SUMS.

    Raises:
        ValueError: if a line is not `sum  name`.
    """
    path = folder / SUMS_FILE
    if not path.is_file():
        return {}
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"{path}, line {number}: expected 64 hexadecimal digits, two spaces and a file name; "
                f"found {line[:80]!r}"
            )
        sums[match[2]] = match[1].lower()
    return sums


def record_sum(path: Path) -> str:
    """Write a file's sum into SHA256SUMS beside it, in place of an older one, and return it."""
    sums = read_sums(path.parent)
    sums[path.name] = sha256_of(path)
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    write_whole(path.with_name(SUMS_FILE), text)
    return sums[path.name]


def store_file(came: Path, path: Path, *, insisted: bool = False) -> Path:
    """Move a file that was fetched to its place, if it is what SHA256SUMS there recorded at an earlier fetch.

    Args:
        came: complete, on the same disk.
        path: where it belongs.
        insisted: take it whatever was recorded, because its sum was asked for.

    Raises:
        ChangedFileError: if another sum was recorded.
    """
    recorded, found = read_sums(path.parent).get(path.name), sha256_of(came)
    if not insisted and recorded not in (None, found):
        raise ChangedFileError(
            f"{path.name}: {path.with_name(SUMS_FILE)} recorded SHA-256 {recorded} at an earlier fetch, got {found}; "
            f"sha256={found!r} insists on the new one, so does a folder of its own"
        )
    os.replace(came, path)
    return path


def verify_file(path: Path) -> None:
    """Compare a file with the SHA256SUMS beside it or one folder above; without one there is nothing to compare.

    Raises:
        ChangedFileError: if its sum is not the recorded one.
    """
    path = path.absolute()
    for folder in path.parents[:2]:
        sums = read_sums(folder)
        name = path.relative_to(folder).as_posix()
        if name in sums:
            found = sha256_of(path)
            if found != sums[name]:
                raise ChangedFileError(
                    f"{path} has changed: {folder / SUMS_FILE} expects SHA-256 {sums[name]}, "
                    f"found {found}; fetch it again"
                )
            return
    if (path.parent / SUMS_FILE).is_file():
        logger.warning("%s is not listed in the %s beside it: loaded without a check", path, SUMS_FILE)


def check_folder(folder: str | os.PathLike) -> FolderCheck:
    """Compare every file of a folder with its SHA256SUMS; hidden files are left out.

    Raises:
        FileNotFoundError: if the folder has no SHA256SUMS.
    """
    folder = Path(folder)
    if not (folder / SUMS_FILE).is_file():
        raise FileNotFoundError(f"{folder / SUMS_FILE} not found: expected the file that `qfae weights fetch` writes")
    sums = read_sums(folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    shown = {name for name in files if not any(part.startswith(".") for part in name.split("/"))}
    present = [name for name in sums if (folder / name).is_file()]
    changed = {name for name in present if sha256_of(folder / name) != sums[name]}
    return FolderCheck(
        unchanged=tuple(sorted(set(present) - changed)),
        changed=tuple(sorted(changed)),
        missing=tuple(sorted(set(sums) - set(present))),
        unlisted=tuple(sorted(shown - set(sums) - {SUMS_FILE})),
    )
