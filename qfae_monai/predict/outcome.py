"""What became of a study: a row of the summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Outcome:
    """A row of the summary.

    status: `done`, `kept` (complete from an earlier run) or `failed`. reason: of the failure, or why further outputs
    such as DICOM objects are missing; without identifiers.
    warnings: what of the scan lies outside of the training scans. scored, empty, outside: numbers of slices.
    short_of_memory: whether it failed for want of memory.
    """

    study: str
    status: Literal["done", "kept", "failed"]
    score: float | None = None
    p_value: float | None = None
    above_threshold: bool | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    scored: int | None = None
    empty: int | None = None
    outside: int | None = None
    short_of_memory: bool = field(default=False, repr=False)


COLUMNS = ("study", "status", "score", "p_value", "above_threshold", "reason", "warnings", "scored", "empty", "outside")


def outcome_of(status: Literal["done", "kept"], scores: dict[str, Any]) -> Outcome:
    """The outcome that the content of a `scores.json` tells."""
    p_value = scores["p_value"]
    known = None if p_value is None else float(p_value)  # of an earlier run they are a file's, which may hold anything
    warnings = tuple(map(str, scores.get("warnings") or ()))  # absent from what an older version wrote
    score, above = float(scores["score"]), scores["above_threshold"]
    reason = "; ".join(f"{name} not written: {why}" for name, why in (scores.get("not_written") or {}).items())
    empty, outside = (int(scores["skipped"][key]) for key in ("empty", "outside"))
    return Outcome(
        scores["study"], status, score, known, above, reason, warnings, len(scores["slices"]), empty, outside
    )
