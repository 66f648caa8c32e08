"""Rows of the report's table "Does the reconstruction follow its input?": figures, what they mean, when they warn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from qfae_monai.evaluation.cautions import MARGIN
from qfae_monai.evaluation.reconstruction import LEAST_VARIATION, MOST_ERROR, SAME_SCORE
from qfae_monai.evaluation.rendering import number

NEVER = "never"


class FigureRow(NamedTuple):
    """A figure of the reconstruction.

    value: None where undefined. meaning: one sentence. limit: at which it warns. warns: whether it does.
    """

    name: str
    value: float | None
    meaning: str
    limit: str
    warns: bool


def reconstruction_rows(evaluation: Mapping[str, Any]) -> list[FigureRow]:
    """Rows of the table; none in evaluations of earlier versions, which have no such figures.

    Args:
        evaluation: content of `evaluation.json`.
    """
    figures = evaluation.get("reconstruction")
    if not figures:
        return []
    used = figures.get("used_by_score", True)
    levels = [name for name in evaluation["metrics"] if name != "pixel"]
    return [
        _error(figures["relative_error"], used=used),
        _variation(figures["variation"]),
        *(_mean_image(evaluation, level, used=used) for level in levels),
    ]


def _error(value: float | None, *, used: bool) -> FigureRow:
    name = "error on normal slices, relative to the mean training image"
    if not used:
        return FigureRow(name, value, f"Says nothing: {SAME_SCORE}.", NEVER, False)
    meaning = "The model's error over that of one image for all, the mean training image: 1 is no better than that."
    return FigureRow(name, value, meaning, f"above {MOST_ERROR:g}", value is not None and value > MOST_ERROR)


def _variation(value: float | None) -> FigureRow:
    return FigureRow(
        "variation of reconstructions, relative to images",
        value,
        "Standard deviation over normal slices, of reconstructions over that of images: 0 is one picture for all.",
        f"below {LEAST_VARIATION:g}",
        value is not None and value < LEAST_VARIATION,
    )


def _mean_image(evaluation: Mapping[str, Any], level: str, *, used: bool) -> FigureRow:
    rows = [row for row in evaluation["shortcuts"] if (row["level"], row["feature"]) == (level, "rival_mean_image")]
    name, value = f"AUROC of the mean training image, {level}s", rows[0]["auroc"] if rows else None
    if not used:
        return FigureRow(name, value, f"Says nothing: {SAME_SCORE}.", NEVER, False)
    own = number(evaluation["metrics"][level]["auroc"]["value"])
    meaning = f"The mean training image in place of the reconstruction, through the same score; the model has {own}."
    limit = f"it, or 1 minus it, is above the model's minus {MARGIN:g}, or the interval of the lead includes 0"
    return FigureRow(name, value, meaning, limit, bool(rows) and rows[0]["rivals"])
