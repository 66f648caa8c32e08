"""Names of result folders: whatever a file is called, its results get a plain folder that is no file of ours."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from hashlib import sha256

from qfae_monai.privacy.identifiers import plain_name

__all__ = ["folder_name", "short_hash", "told_apart"]

SHORT = 8  # hexadecimal digits of a hash in a name
LONGEST = 180  # bytes of UTF-8: file systems take 255, and an unfinished folder's name is longer
FORBIDDEN = '<>:"/\\|?*'  # by some file systems
OURS = (".json", ".csv", ".html", ".key", ".lock", ".log", ".partial", ".unfinished")  # files beside result folders
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
WORDS = {"report", "summary"}  # of files beside them, too


def folder_name(text: str) -> str:
    """A name that every file system takes as it is, and that neither the software nor Windows keeps for itself.

    Args:
        text: what the results would be called.

    Example:
        >>> folder_name("anna T1"), folder_name("Summary.JSON"), folder_name("aux.v2. ")
        ('anna T1', 'Summary.JSON-study', 'study-aux.v2')
    """
    name = unicodedata.normalize("NFC", plain_name(text))
    name = "".join("_" if letter in FORBIDDEN else letter for letter in name).strip(". ")
    if not name:
        return f"unnamed-{short_hash(text)}"
    if len(name.encode()) > LONGEST:
        name = f"{name.encode()[:LONGEST].decode(errors='ignore').strip('. ')}-{short_hash(text)}"
    lower = name.casefold()
    if lower.split(".")[0].strip() in DEVICES:
        return f"study-{name}"
    return f"{name}-study" if lower.endswith(OURS) or lower in WORDS else name


def told_apart(names: Iterable[str]) -> list[str]:
    """The same names in their order; those that occur again (a.png beside a.jpg, or beside A.png) get a number."""
    taken: set[str] = set()
    kept = []
    for name in names:
        other, count = name, 1
        while other.casefold() in taken:
            count += 1
            other = f"{name}-{count}"
        taken.add(other.casefold())
        kept.append(other)
    return kept


def short_hash(text: str) -> str:
    """A few digits that tell one text from another."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:SHORT]
