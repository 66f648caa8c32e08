"""What `qfae predict` found, as one self-contained page: a table of studies, and the overlay of each."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from qfae_monai.report.rendering import write_page

__all__ = ["write_prediction_page"]

HEIGHT = 56.0  # of a trace 60 high


def write_prediction_page(output: Path) -> Path:
    """Write `report.html` from `summary.json` and the studies' folders, whole or not at all.

    Args:
        output: folder of a prediction.
    """
    summary = json.loads((output / "summary.json").read_text())
    rows = [row for row in summary["studies"] if row["status"] != "failed"]
    studies = [_view(output / row["study"], place) for place, row in enumerate(rows)]
    first: dict[str, Any] = studies[0] if studies else {"pixel_threshold": None, "threshold": None, "notice": ""}
    return write_page(
        output / "report.html",
        "prediction.html.jinja",
        studies=sorted(studies, key=lambda study: -study["score"]),
        failed=[row for row in summary["studies"] if row["status"] == "failed"],
        counts=summary["counts"],
        model=summary["model"],
        calibrated=not studies or first["pixel_threshold"] is not None,
        threshold=first["threshold"],
        rate=summary["settings"]["false_positive_rate"],
        notice=first["notice"],
    )


def _view(folder: Path, place: int) -> dict[str, Any]:
    scores = json.loads((folder / "scores.json").read_text())
    picture = "data:image/png;base64," + b64encode((folder / "overlay.png").read_bytes()).decode()
    highest = max(scores["slices"], key=lambda row: row["score"], default={"slice": ""})["slice"]
    return {**scores, "picture": picture, "highest": highest, "trace": _trace(scores), "anchor": f"study-{place}"}


def _trace(scores: dict[str, Any]) -> str:
    """Path of the slice scores in a drawing of 1000 x 60; nothing for a single image."""
    rows = scores["slices"]
    if len(rows) < 2:
        return ""
    first, last = rows[0]["slice"], rows[-1]["slice"]
    most = max(row["score"] for row in rows) or 1.0
    places = [(1000 * (row["slice"] - first) / (last - first), 58 - HEIGHT * row["score"] / most) for row in rows]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
