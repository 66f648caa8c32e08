"""What lies below a folder."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["entries_below", "files_below"]


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
