"""One line of a reviewer's checklist, and what its questions look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["answered", "concern", "author"]


@dataclass(frozen=True)
class Line:
    """A question with its answer.

    Attributes:
        question: as a reviewer asks it.
        source: the guideline and its section.
        answer: from the run, or what its authors have to state.
        state: `answered`; `concern`, where the answer weakens the figures; `author`, where no software can know it.
    """

    question: str
    source: str
    answer: str
    state: State


@dataclass(frozen=True)
class Facts:
    """What is known of a run.

    run: content of `run.json`. summary: that of `evaluation.json`. contradictions: cases whose label and mask
    contradict each other. pictures: whether there are pictures of cases.
    """

    run: Mapping[str, Any]
    summary: Mapping[str, Any]
    contradictions: int
    pictures: bool

    @property
    def kind(self) -> str:
        """What a case is called: `volume` or `image`."""
        return str(self.summary["kind"])

    @property
    def counts(self) -> Mapping[str, int]:
        return self.summary["counts"]

    @property
    def threshold(self) -> Mapping[str, Any]:
        """Figures at the thresholds; empty without a calibration."""
        return self.summary["threshold"] or {}

    @property
    def rates(self) -> dict[str, Mapping[str, Any]]:
        """Level -> rates at its threshold, where it has one."""
        return {level: self.threshold[level] for level in ("slice", "volume", "image") if self.threshold.get(level)}


def line(question: str, source: str, answer: str, *, concern: object = False) -> Line:
    """A line that the run answers; `concern` tells whether the answer weakens the figures."""
    return Line(question, source, answer, "concern" if concern else "answered")


def left_to_author(question: str, source: str, answer: str) -> Line:
    """A line that no software can answer; the answer says what to state."""
    return Line(question, source, answer, "author")
