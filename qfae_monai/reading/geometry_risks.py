"""Risks that the geometry guard can allow, by name, and the stack of slices that it returns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from qfae_monai.reading.dicom_frames import Frame

__all__ = ["RISKS", "Guard", "Stack", "check_allow", "names_of"]

RISKS = {
    "mixed-series": "several series read as one",
    "mixed-size": "matrix size or pixel spacing differs; the most frequent is kept, the rest left out",
    "localiser": "images of another direction or without a position lie among the slices; they are left out",
    "varying-orientation": "slices turned against each other by up to 5 degrees; the first one's direction is used",
    "duplicate-position": "several images at one position; the first by instance number is kept",
    "missing-slice": "a slice is missing; it is filled with the minimum and marked as padding",
    "varying-spacing": "gaps between slices differ; the affine has their mean",
    "shifted-slices": "slices are shifted within their plane against a straight line; the mean line is used",
    "no-position": "no slice has a position; they are stacked by instance number",
    "no-spacing": "the pixel spacing is not known; 1 mm is used",
}
"""Names for `allow`, and what each lets pass."""


@dataclass(frozen=True)
class Stack:
    """Slices in order.

    Attributes:
        frames: one per slice from the first to the last along the normal; None where a slice is missing.
        affine: (4, 4), index (column, row, slice) to RAS+ mm.
        risks: what was allowed, in words with the measured numbers.
        notes: what is unusual and handled without a risk.
        volumes: in words, those that the series holds at these positions; one where there is one.
        number: which of them this is, from 1.
    """

    frames: tuple[Frame | None, ...]
    affine: np.ndarray
    risks: tuple[str, ...]
    notes: tuple[str, ...]
    volumes: tuple[str, ...] = ("",)
    number: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows and slices."""
        rows, columns = next(frame for frame in self.frames if frame is not None).shape
        return columns, rows, len(self.frames)


@dataclass
class Guard:
    """Refuses a risk, or writes it down where it is allowed."""

    title: str
    allow: Collection[str]
    risks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def meet(self, risk: str, message: str) -> None:
        if risk not in self.allow:
            raise ValueError(f"{self.title}: {message} [{risk}: refused unless allowed by this name]")
        self.risks.append(f"{risk}: {message}")


def check_allow(allow: Collection[str]) -> frozenset[str]:
    """The names as a set.

    Raises:
        ValueError: when a name is none of `RISKS`.
    """
    names = frozenset([allow] if isinstance(allow, str) else allow)
    if unknown := sorted(names - set(RISKS)):
        raise ValueError(f"expected in allow the names {sorted(RISKS)}, got {unknown}")
    return names


def names_of(frames: Sequence[Frame], limit: int = 4) -> str:
    """Names of frames for a message; those beyond `limit` are counted."""
    names = [frame.name for frame in frames[:limit]]
    return ", ".join(names) + (f" and {len(frames) - limit} more" if len(frames) > limit else "")
