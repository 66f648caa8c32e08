"""Summary of a series before its pixels are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.reading.left_aside import LeftAside

__all__ = ["Contents", "SeriesSummary"]


@dataclass(frozen=True)
class SeriesSummary:
    """A series that was found, from headers alone.

    Args:
        kind: "DICOM", "NIfTI", "NRRD", "MetaImage", or "unreadable".
        files: its files.
        uid: SeriesInstanceUID; empty for other formats.
        number: SeriesNumber.
        description: SeriesDescription, or the file's name.
        shape: (X, Y, Z) as it would be read; None where it would be refused.
        affine: (4, 4), index to RAS+ mm; None where it would be refused.
        refusal: why it would be refused; None where the headers are accepted.
        risks: what was allowed.
        attributes: as in :class:`qfae_monai.reading.Series`.
        volume: number from 1 of the chosen volume among several; None where there is one.
        category: what it is if no scan, a name of :data:`qfae_monai.reading.dicom_kinds.INCLUDABLE` that was taken in.
        picture: whether it is one image by itself, such as a radiograph.
    """

    kind: str
    files: tuple[Path, ...]
    uid: str = ""
    number: int | None = None
    description: str = ""
    shape: tuple[int, ...] | None = None
    affine: np.ndarray | None = None
    refusal: str | None = None
    risks: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    volume: int | None = None
    category: str = ""
    picture: bool = False

    def matches(self, series: str | int) -> bool:
        """Whether a UID, number, description or file name names this series."""
        file = self.files[0]
        names = {self.uid, self.description, str(self.number), file.name, str(file)} - {"", "None"}
        return str(series) in names

    def __str__(self) -> str:
        number = "-" if self.number is None else self.number
        return (
            f"number {number}, {self.description or 'no description'!r}, {len(self.files)} files, UID {self.uid or '-'}"
        )


@dataclass(frozen=True)
class Contents:
    """All that a folder, archive or file holds.

    Attributes:
        series: DICOM series and volume files, those that would be refused among them.
        pictures: image files, which models of images take.
        aside: everything else, with its reason.
    """

    series: tuple[SeriesSummary, ...] = ()
    pictures: tuple[Path, ...] = ()
    aside: tuple[LeftAside, ...] = ()
