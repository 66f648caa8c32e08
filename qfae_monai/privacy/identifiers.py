"""Reasons without identifiers: of an error's text only what cannot come from a file may be passed on.

Not what is known to identify is taken out, but what is known to be our own is left in: words that stand in the
package's messages, short numbers, and files by their number. So nothing has to be read again to tell what identifies.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from qfae_monai.files.installed import recipes_folder
from qfae_monai.files.whole import files_below

__all__ = ["plain_name", "reason_of", "root_message", "without_identifiers"]

PACKAGE = Path(__file__).parents[1]
ROOMS = ("files", "reading", "data", "transforms", "anomaly", "recipes", "predict")
"""Of the package, whose messages are about files."""
KINDS = frozenset(name for name in dir(builtins) if name.endswith(("Error", "Exception", "Warning")))
CORE = re.compile(r"\w(?:\S*\w)?")  # of a word between blanks, without the punctuation around it
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
SHORT = 4  # digits of a number that stands as it is; of a longer one, which may be an ID or a date, two are left
HIDDEN = "…"
MARK = "\ue000"  # private use: stands for a file while the text is searched


def without_identifiers(text: str, files: Sequence[Path] = (), *, names: bool = False) -> str:
    """Text that may be passed on: words of the package's own messages, and short numbers; all else is "…".

    Args:
        text: a message about files; it may quote their headers.
        files: those that it is about, folders among them walked: they become "file 3" by their place.
        names: whether they keep their names instead, without their folders.
    """
    shown: list[str] = []
    text = text.replace(MARK, "")
    for place, known in _known(files):
        label = plain_name(known.name) if names and place else f"file {place}" if place else "folder"
        for spelling in _spellings(known, alone=bool(place)):
            if spelling not in text:
                continue
            pattern = rf"(?<![\w./\\-]){re.escape(spelling)}(?![\w-]|\.\w)"
            text, count = re.subn(pattern, MARK + str(len(shown)) + MARK, text)
            if count:
                shown.append(label)
    own = _own_words()
    words = " ".join(_allowed(word, own) for word in text.split())
    words = re.sub(rf"{HIDDEN}(?:[\s,]*{HIDDEN})+", HIDDEN, words)
    return re.sub(rf"{MARK}(\d+){MARK}", lambda found: shown[int(found[1])], words)


def reason_of(error: BaseException, files: Sequence[Path] = (), *, names: bool = False) -> str:
    """Message of an error without identifiers; never raises: falls back to the error's type.

    Args:
        error: whatever was raised.
        files: as in `without_identifiers`.
        names: as there.
    """
    kind = type(error).__name__
    try:
        text = without_identifiers(root_message(error), files, names=names)
    except Exception:  # such as an error that cannot be printed
        return kind
    ours = isinstance(error, ValueError | OSError) and text.strip(f"{HIDDEN} .:")
    return text if ours else f"{kind}: {text}" if text.strip(f"{HIDDEN} .:") else kind


def root_message(error: BaseException) -> str:
    """Message of the first error: MONAI's wrapper only names the transform that failed."""
    seen = 0
    while error.__cause__ is not None and str(error).startswith("applying transform") and seen < 100:
        error, seen = error.__cause__, seen + 1
    return " ".join(str(error).split())


def plain_name(name: str) -> str:
    """A file's name as text that every output takes: no bytes of another encoding, no control characters."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)


def _known(files: Sequence[Path]) -> Iterator[tuple[int, Path]]:
    """(number from 1, file), longest paths first; then (0, folder)."""
    walked = [entry for file in files for entry in (files_below(file) if file.is_dir() else [file])]
    yield from sorted(enumerate(walked, 1), key=lambda pair: -len(str(pair[1])))
    folders = {folder for file in (*walked, *files) for folder in file.parents if folder.name}
    yield from ((0, folder) for folder in sorted(folders, key=lambda folder: -len(str(folder))))


def _spellings(path: Path, *, alone: bool) -> list[str]:
    """Forms in which a message can name a file: its path and, except for folders, its name or stem alone."""
    whole = dict.fromkeys([str(path), str(path.absolute())])
    stem = [] if path.stem in _own_words() else [path.stem]  # "a NIfTI file" speaks of no a.nii
    names = dict.fromkeys([path.name, *stem]) if alone else ()
    return [*whole, *(name for name in names if not (name.isdecimal() and len(name) <= SHORT))]  # 2 slices, not "2"


def _allowed(word: str, own: frozenset[str]) -> str:
    """The word, or what is left of it."""
    found = CORE.search(word)
    if found is None:
        return word if word.isascii() and word.isprintable() else HIDDEN
    before, core, after = word[: found.start()], found[0], word[found.end() :]
    if MARK in word:
        return word if re.fullmatch(rf"[^\w]*(?:{MARK}\d+{MARK}[^\w]*)+", word) else HIDDEN
    outside = before + after
    kept = core if core in KINDS or core in own else _short(core)
    return before + kept + after if outside.isascii() and outside.isprintable() else HIDDEN


def _short(core: str) -> str:
    """A number, shortened where it is long; several of them between commas or brackets; else nothing."""
    if NUMBER.fullmatch(core) is None:
        return HIDDEN
    digits = sum(letter.isdigit() for letter in core)
    return core if digits <= SHORT else f"{float(core):.{4 if '.' in core else 2}g}"


@cache
def _own_words() -> frozenset[str]:
    """Words of the package's messages; none where it was installed without its source."""
    places = [*(PACKAGE / room for room in ROOMS), recipes_folder()]
    sources = [file for place in places for file in (files_below(place) if place.is_dir() else [place])]
    return frozenset().union(*(_words_of(file) for file in sources if file.suffix == ".py"))


def _words_of(file: Path) -> frozenset[str]:
    """Words of the texts that stand in a source file, docstrings left out."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in said
    ]
    return frozenset(found[0] for text in texts for word in text.split() if (found := CORE.search(word)))
