"""Findings of `qfae predict` as one self-contained page: a table of studies, and the overlay of each."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.rendering import write_page
from qfae_monai.files import read_object
from qfae_monai.files.schema import (
    anything,
    choice,
    entries,
    items,
    number,
    optional,
    record,
    text,
    truth,
    whole,
)

__all__ = ["write_prediction_page"]

HEIGHT = 56.0  # of a trace 60 high
NAME = text(r"(?!\.)[^/\\\0]+", "the name of a folder in this one")
SUMMARY = record(
    {
        "studies": items(
            record(
                {"study": NAME, "status": choice("done", "kept", "failed"), "reason": text(longest=10_000)},
                others=anything,
            )
        ),
        "counts": record({"done": whole(), "kept": whole(), "failed": whole()}),
        "model": record({"checkpoint_sha256": text(), "version": text()}, others=anything),
        "settings": record({"false_positive_rate": number(0, 1)}, others=anything),
    },
    others=anything,
)
"""Schema of `summary.json`, as far as the page shows it."""
SCORES = record(
    {
        "study": text(),
        "kind": text(),
        "score": number(),
        "p_value": optional(number(0, 1)),
        "threshold": optional(number()),
        "pixel_threshold": optional(number()),
        "above_threshold": optional(truth),
        "slices": items(record({"slice": whole(), "score": number()}, others=anything), fewest=1),
        "skipped": entries(whole()),
        "risks": items(text(longest=10_000)),
        "notice": text(),
    },
    {"warnings": items(text(longest=10_000))},
    others=anything,
)
"""Schema of a study's `scores.json`, as far as the page shows it."""


def write_prediction_page(output: Path) -> Path:
    """Write `report.html` from `summary.json` and the studies' folders, whole or not at all.

    Args:
        output: folder of a prediction.

    Raises:
        FileNotFoundError: if one of these files is missing.
        ValueError: if one is not what `qfae predict` writes; the message names file and key.
    """
    summary = read_object(output / "summary.json", SUMMARY)
    rows = [row for row in summary["studies"] if row["status"] != "failed"]
    studies = [_view(output / row["study"], place) for place, row in enumerate(rows)]
    first: dict[str, Any] = studies[0] if studies else {"pixel_threshold": None, "threshold": None, "notice": ""}
    return write_page(
        output / "report.html",
        "prediction.html.jinja",
        studies=sorted(studies, key=lambda study: -study["score"]),  # highest first: what to look at
        failed=[row for row in summary["studies"] if row["status"] == "failed"],
        counts=summary["counts"],
        model=summary["model"],
        calibrated=not studies or first["pixel_threshold"] is not None,  # one model scored them all
        threshold=first["threshold"],
        rate=summary["settings"]["false_positive_rate"],
        notice=first["notice"],
    )


def _view(folder: Path, place: int) -> dict[str, Any]:
    scores = read_object(folder / "scores.json", SCORES)
    picture = "data:image/png;base64," + b64encode((folder / "overlay.png").read_bytes()).decode()
    highest = max(scores["slices"], key=lambda row: row["score"], default={"slice": ""})["slice"]
    return {
        "warnings": [],
        **scores,
        "picture": picture,
        "highest": highest,
        "trace": _trace(scores),
        "anchor": f"study-{place}",
    }


def _trace(scores: dict[str, Any]) -> str:
    """Path of the slice scores in a drawing of 1000 x 60; nothing for a single image."""
    rows = scores["slices"]
    if len(rows) < 2:
        return ""
    first, last = rows[0]["slice"], rows[-1]["slice"]
    most = max(row["score"] for row in rows) or 1.0  # or: scores that are all 0
    places = [(1000 * (row["slice"] - first) / (last - first), 58 - HEIGHT * row["score"] / most) for row in rows]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
