"""Cases in the report: the outcome of each, its pictures slice by slice, and the trace of its slice scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.sprites import Picture

__all__ = ["CaseView", "Thresholds", "choose_cases", "view_case", "worst_slices"]

MOST_SHOWN = {"volume": 100, "image": 60}
WORST = 8  # slices of each montage
TRACE_WIDTH, TRACE_HEIGHT = 1000.0, 60.0


@dataclass(frozen=True)
class Thresholds:
    """Calibrated thresholds of slice and case scores; None where there is none."""

    slice: float | None = None
    case: float | None = None


@dataclass(frozen=True)
class CaseView:
    """One card of the report.

    label: 0, 1 or None where unknown. outcome: of the case at its threshold, "" without one. captions: one a shown
    slice. start: index of the shown slice to begin with. places: of the shown slices along the trace. trace, lesions,
    limit: the course of the slice scores, as paths of an SVG; limit is the threshold's.
    """

    case: str
    patient: str
    score: float | None
    p_value: float | None
    label: int | None
    outcome: str
    picture: Picture | None
    captions: list[str]
    places: list[float]
    start: int
    trace: str
    lesions: str
    limit: str


def view_case(volumes: Table, row: int, slices: Table, picture: Picture | None, thresholds: Thresholds) -> CaseView:
    """One row of `volumes.csv` with the rows of `slices.csv` that belong to it."""
    case = str(volumes["case"][row])
    own = slices.where(slices["case"] == case)
    label, score = _known(volumes["label"][row]), _known(volumes["score"][row])
    shown = picture.slices if picture else []
    rows = {int(number): place for place, number in enumerate(own["slice"])}
    # shown slices that were not scored rank last
    heights = [own["score"][rows[number]] if number in rows else -np.inf for number in shown]
    last = max(float(volumes["slices"][row]) - 1, 1.0)  # index of the last slice; 1 for an image, to divide by
    low, high = float(slices["score"].min()), float(slices["score"].max())  # of all cases: traces share one scale
    if thresholds.slice is not None:
        low, high = min(low, thresholds.slice), max(high, thresholds.slice)
    trace, lesions, limit = "", "", ""
    if float(volumes["slices"][row]) > 1:
        x = own["slice"] / last * TRACE_WIDTH
        trace = _line(own["slice"], x, _height(own["score"], low, high))
        half = TRACE_WIDTH / last / 2  # pixels of half a slice
        lesions = "".join(f"M{place - half:.1f} 0H{place + half:.1f}" for place in x[own["label"] == 1])
        if thresholds.slice is not None:
            limit = f"M0 {_height(np.array(thresholds.slice), low, high):.1f}H{TRACE_WIDTH:.0f}"
    return CaseView(
        case=case,
        patient=str(volumes["patient"][row]),
        score=score,
        p_value=_known(volumes["p_value"][row]),
        label=None if label is None else int(label),
        outcome=_outcome(label, score, thresholds.case),
        picture=picture,
        captions=[_caption(own, rows.get(number), number, thresholds.slice, single=last == 1) for number in shown],
        places=[round(number / last * TRACE_WIDTH, 1) for number in shown],
        start=int(np.argmax(heights)) if shown else 0,  # the page opens at the highest-scored slice
        trace=trace,
        lesions=lesions,
        limit=limit,
    )


def choose_cases(volumes: Table, kind: str) -> list[int]:
    """Rows of the cases to show, highest score first: all, or where they are too many the worst and an even sample.

    A third are the lowest-scored abnormal cases, a third the highest-scored normal ones, the rest is spread evenly
    over the scores.
    """
    scores, labels = np.nan_to_num(volumes["score"], nan=-np.inf), volumes["label"]  # NaN would sort anywhere
    order = [int(row) for row in np.argsort(-scores, kind="stable")]
    most = MOST_SHOWN[kind]
    if len(order) <= most:
        return order
    worst = [row for row in reversed(order) if labels[row] == 1][: most // 3]
    worst += [row for row in order if labels[row] == 0][: most // 3]
    others = [row for row in order if row not in set(worst)]
    # over ranks, not scores: outliers take no place
    even = np.linspace(0, len(others) - 1, most - len(worst)).round().astype(int)
    kept = {*worst, *(others[place] for place in even)}
    return [row for row in order if row in kept]


def worst_slices(
    slices: Table, pictures: Mapping[str, Picture], thresholds: Thresholds, *, missed: bool
) -> list[dict[str, Any]]:
    """Pictures of the lowest-scored abnormal slices (`missed`) or highest-scored normal ones, at most one per case."""
    sign, found = (1 if missed else -1), []
    rows = np.flatnonzero(slices["label"] == int(missed))
    taken: set[str] = set()
    # stable: equal scores keep the table's order
    for row in rows[np.argsort(sign * slices["score"][rows], kind="stable")]:
        case, number, score = str(slices["case"][row]), int(slices["slice"][row]), float(slices["score"][row])
        picture = pictures.get(case)
        if case in taken or picture is None or number not in picture.slices:
            continue
        taken.add(case)
        found.append(
            {
                "case": case,
                "slice": number,
                "score": score,
                "p_value": _known(slices["p_value"][row]),
                "lesion_pixels": _known(slices["lesion_pixels"][row]),
                "verdict": _verdict(score, thresholds.slice, missed=missed),
                "rows": picture.rows,
                "tile": picture.tile,
                "uri": picture.column_uri(number),
            }
        )
        if len(found) == WORST:  # counted after skipping, so that the list is full where it can be
            break
    return found


def _above(score: float, threshold: float) -> bool:
    """As `metrics.calibrated` counts: strictly, and as float32, which tables give back exactly."""
    return bool(np.float32(score) > np.float32(threshold))


def _verdict(score: float, threshold: float | None, *, missed: bool) -> str:
    if threshold is None or _above(score, threshold) == missed:
        return ""
    return "missed" if missed else "false alarm"


def _caption(own: Table, row: int | None, number: int, threshold: float | None, *, single: bool) -> str:
    """Caption of a slice."""
    parts = [] if single else [f"slice {number}"]
    if row is None:
        return " · ".join([*parts, "not scored"])
    score, p_value = float(own["score"][row]), _known(own["p_value"][row])
    parts.append(f"score {score:.4g}")
    if p_value is not None:
        parts.append(f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{p_value:.3g}")
    if threshold is not None:
        parts.append("above threshold" if _above(score, threshold) else "below threshold")
    label, pixels = _known(own["label"][row]), _known(own["lesion_pixels"][row])
    if label is None:
        parts.append("unlabelled")
    elif pixels:
        parts.append(f"lesion {pixels:.0f} px")
    else:
        parts.append("abnormal" if label else "no lesion")
    return " · ".join(parts)


def _outcome(label: float | None, score: float | None, threshold: float | None) -> str:
    if label is None or score is None or threshold is None:
        return ""
    names = {(1, True): "found", (1, False): "missed", (0, True): "false alarm", (0, False): "passed"}
    return names[int(label), _above(score, threshold)]


def _line(numbers: NDArray, x: NDArray, y: NDArray) -> str:
    """Path through (x, y), broken where slices between were not scored."""
    pieces = []
    for place, (across, down) in enumerate(zip(x, y, strict=True)):
        joined = place > 0 and numbers[place] - numbers[place - 1] == 1  # neighbouring slices only
        pieces.append(f"{'L' if joined else 'M'}{across:.1f} {down:.1f}")
        if not joined:
            pieces.append("h0")  # a line of no length, so that a lone slice is a dot
    return "".join(pieces)


def _height(scores: NDArray, low: float, high: float) -> Any:
    """Score -> distance from the trace's top; one scale for all cases, so that they compare."""
    # 4 pixels of margin for the stroke
    return 4 + (TRACE_HEIGHT - 8) * (1 - (scores - low) / max(high - low, np.finfo(float).tiny))


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
