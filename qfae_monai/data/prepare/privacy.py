"""Reasons without identifiers: what an error says of a source, less names, UIDs and paths."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from qfae_monai.data.prepare.source import Source

__all__ = ["without_identifiers"]

IDENTIFYING = ("PN", "UI", "LO", "SH", "DA", "DT", "TM", "ST", "LT", "UT", "AE")  # value representations
UID = re.compile(r"\b[0-2](?:\.\d+){4,}\b")
PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\][^\s:;,'\"()\[\]]*")
LEAST = 3  # characters: shorter values are words of the message by chance


def without_identifiers(reason: str, source: Source) -> str:
    """A reason that may be passed on: files become "file 3" by their number in sorted order, UIDs and values of the
    source's DICOM headers "…".

    Args:
        reason: an error's message.
        source: the source that it is about.
    """
    for text, stand_in in sorted(_replacements(source), key=lambda pair: -len(pair[0])):
        reason = reason.replace(text, stand_in)
    return " ".join(PATH.sub("…", UID.sub("…", reason)).split())


def _replacements(source: Source) -> Iterator[tuple[str, str]]:
    files = source.files
    for number, file in enumerate(files, 1):
        for text in (str(file), str(file.absolute()), str(file.resolve())):
            yield text, f"file {number}"
        # names such as 1.dcm may be in many folders: the number tells which
        yield file.name, f"file {number}"
        if len(file.stem) >= LEAST:
            yield file.stem, f"file {number}"
    for name in (*source.image, *source.label):
        for folder in (Path(name), *Path(name).parents):
            for text in (str(folder), str(folder.absolute())):
                if len(text) >= LEAST:
                    yield text, "the source"
            if len(folder.name) >= LEAST:
                yield folder.name, "…"
    for text in (source.patient, source.name, source.series or "", source.label_series or ""):
        if len(text) >= LEAST:
            yield text, "…"
    for file in files:
        yield from ((value, "…") for value in _header_values(file))


def _header_values(file: Path) -> Iterator[str]:
    """Texts of a DICOM header that may tell who or where it was; none of another file."""
    try:
        with _quiet():
            dataset = pydicom.dcmread(file, stop_before_pixels=True)
            elements = [element for element in dataset.iterall() if element.VR in IDENTIFYING]
    except (InvalidDicomError, OSError, ValueError, AttributeError, KeyError, TypeError, NotImplementedError):
        return
    for element in elements:
        values = element.value if isinstance(element.value, MultiValue) else [element.value]
        yield from (str(value) for value in values if value is not None and len(str(value)) >= LEAST)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without pydicom's remarks on a header that is only searched."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
