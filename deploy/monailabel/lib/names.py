"""Names that a request may use: of studies, label tags, sessions and files. A name is never a path."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from qfae_monai.reading.series_files import VOLUME_SUFFIXES

__all__ = ["SUFFIXES", "confined", "is_study_name", "label_tag", "plain_text", "session_id", "study_name", "suffix_of"]

SUFFIXES = tuple(suffix for suffix in VOLUME_SUFFIXES if suffix != ".mhd")  # of one file that holds its voxels
LONGEST = 200  # bytes of UTF-8: a file system takes 255, suffix included
SEPARATORS = "/\\:|\u2044\u2215\u2216\u29f5\u29f8\u29f9"  # and what looks like one
SPECIAL = ".$@%~-"  # at the start of a name: hidden files, expressions of configurations, options, home folders
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SESSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def study_name(text: str) -> str:
    """The text, where it can be the name of a study.

    Example:
        >>> study_name("Kopf 50 % é")
        'Kopf 50 % é'
        >>> study_name("../model")
        Traceback (most recent call last):
        ValueError: expected the name of a study, got '../model' with a separator of folders

    Raises:
        ValueError: if it could lead out of the folder of studies, hide a file in it, or end as a volume's file does.
    """
    fault = _fault(text) or _fault(unicodedata.normalize("NFKC", text))
    if fault is not None:
        raise ValueError(f"expected the name of a study, got {shown(text)} {fault}")
    return text


def is_study_name(text: str) -> bool:
    """Whether :func:`study_name` takes it."""
    try:
        return bool(study_name(text))
    except ValueError:
        return False


def label_tag(text: str) -> str:
    """The text, where it can be the name of a folder of labels.

    Raises:
        ValueError: if it holds more than letters, digits, `-` and `_`.
    """
    if TAG.fullmatch(text) is None:
        raise ValueError(f"expected a tag of at most 64 letters, digits, - and _, got {shown(text)}")
    return text


def session_id(text: str) -> str:
    """The text, where it can be the id that the server gave a session.

    Raises:
        ValueError: if it is no UUID in lower case.
    """
    if SESSION.fullmatch(text) is None:
        raise ValueError(f"expected the id of a session, got {shown(text)}")
    return text


def plain_text(text: str) -> str:
    """The text, where it is one short line.

    Raises:
        ValueError: if it is longer than 200 bytes or holds control characters.
    """
    fault = _length(text) or _characters(text)
    if fault is not None:
        raise ValueError(f"expected one short line of text, got {shown(text)} {fault}")
    return text


def suffix_of(filename: str) -> str:
    """Suffix of an upload's file name; of the rest, which may be a path at the viewer's machine, nothing is used.

    Raises:
        ValueError: if it is not the suffix of a volume in one file, or the name climbs or holds control characters.
    """
    fault = _characters(filename) or _climbs(filename)
    if fault is not None:
        raise ValueError(f"expected a file of a volume, got {shown(filename)} {fault}")
    found = next((suffix for suffix in SUFFIXES if filename.lower().endswith(suffix)), None)
    if found is None:
        raise ValueError(f"expected a file that ends in {', '.join(SUFFIXES)}, got {shown(filename)}")
    return found


def confined(path: Path, folder: Path) -> Path:
    """The path, where it is within the folder, links followed.

    Raises:
        ValueError: if it, or a link in it, leads out.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path.name}: expected a path within the studies, got one that leads out of them")
    return path


def shown(text: str) -> str:
    """A value of a request, as an answer may repeat it: short, in quotes, without control characters."""
    return ascii(text if len(text) <= 60 else f"{text[:60]}...")


def _fault(text: str) -> str | None:
    return _length(text) or _characters(text) or _separators(text) or _ends(text)


def _length(text: str) -> str | None:
    size = len(text.encode("utf-8", "replace"))
    return None if 0 < size <= LONGEST else f"of {size} bytes instead of 1 to {LONGEST}"


def _characters(text: str) -> str | None:
    bad = next((letter for letter in text if unicodedata.category(letter)[0] == "C" or letter in "\u2028\u2029"), None)
    return None if bad is None else f"with the character U+{ord(bad):04X}"


def _separators(text: str) -> str | None:
    if any(letter in SEPARATORS for letter in text):
        return "with a separator of folders"
    return "with an escaped character" if unquote(text) != text else _climbs(text)


def _climbs(text: str) -> str | None:
    return "with .. in it" if ".." in text else None


def _ends(text: str) -> str | None:
    if text[0] in SPECIAL:
        return f"with {text[0]} at its start"
    if text != text.strip() or text.endswith("."):
        return "with a blank or dot at its end"
    suffix = next((suffix for suffix in VOLUME_SUFFIXES if text.lower().endswith(suffix)), None)
    return None if suffix is None else f"with the suffix {suffix}"
