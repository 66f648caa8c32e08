"""The report's figures, drawn by matplotlib as inline SVG whose colours and fonts are the page's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from qfae_monai.evaluation.at_threshold import at_threshold

__all__ = [
    "Ranking",
    "curve_figure",
    "froc_figure",
    "precision_recall_figure",
    "roc_figure",
    "score_figure",
    "size_figure",
]

INK, FAINT, NORMAL, ABNORMAL, PIXEL = "#010101", "#010102", "#010103", "#010104", "#010105"
"""Stand-ins that matplotlib draws with; in the page they are variables of the style sheet, light or dark."""

VARIABLES = {INK: "--ink", FAINT: "--line", NORMAL: "--normal", ABNORMAL: "--abnormal", PIXEL: "--third"}
LOOKS = {"slice": (NORMAL, "-"), "image": (NORMAL, "-"), "volume": (ABNORMAL, "--"), "pixel": (PIXEL, ":")}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}
LEGEND: dict[str, Any] = {"frameon": False, "labelcolor": INK}
POINTS = 400  # of a curve at most: more cannot be seen
MOST_BINS = 40  # of a histogram of scores


@dataclass(frozen=True)
class Ranking:
    """Scores and labels (N,) of one level, with one weight each: how often the score came; and its threshold."""

    level: str
    scores: NDArray
    labels: NDArray
    weights: NDArray | None = None
    threshold: float | None = None

    @property
    def prevalence(self) -> float:
        """Share of the abnormal."""
        return float(np.average(self.labels, weights=self.weights))

    @property
    def both(self) -> bool:
        """Whether there are normal and abnormal ones: without, no curve is defined."""
        return len(np.unique(self.labels)) == 2


def roc_figure(rankings: Sequence[Ranking], areas: Mapping[str, float | None]) -> Markup:
    """ROC curves, with the chance line and the calibrated thresholds as dots; empty where no level has both classes.

    Args:
        rankings: one a level.
        areas: level -> AUROC, for the legend.
    """
    drawn = [ranking for ranking in rankings if ranking.both]
    if not drawn:
        return Markup("")
    figure, axes = _axes("false-positive rate", "sensitivity")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    for ranking in drawn:
        x, y, _ = roc_curve(ranking.labels, ranking.scores, sample_weight=ranking.weights)
        colour, dashes = LOOKS[ranking.level]
        few = _thinned(x, y)
        axes.plot(x[few], y[few], dashes, color=colour, label=_named(ranking.level, "AUROC", areas))
        if ranking.threshold is not None:
            rates = at_threshold(ranking.scores, ranking.labels, ranking.threshold)
            axes.plot(rates.false_positive_rate.value, rates.sensitivity.value, "o", color=colour, markersize=5)
    axes.legend(loc="lower right", **LEGEND)
    return _svg(figure, "roc", "ROC curves: sensitivity against the false-positive rate")


def curve_figure(x: Sequence[float], y: Sequence[float], name: str, title: str) -> Markup:
    """A number over the epochs; empty where there are no points.

    Args:
        x, y: epochs and values.
        name: of the drawing, one word.
        title: what is drawn, for those who cannot see it.
    """
    if not x:
        return Markup("")
    figure, axes = _axes("epoch", "", height=2.4, unit=False)
    axes.plot(x, y, color=NORMAL, marker="o" if len(x) < 30 else None, markersize=3)
    return _svg(figure, name, f"{title} over the epochs")


def precision_recall_figure(rankings: Sequence[Ranking], areas: Mapping[str, float | None]) -> Markup:
    """Precision against sensitivity, with each level's prevalence, which chance reaches, as a thin line.

    Args:
        rankings: one a level.
        areas: level -> average precision, for the legend.
    """
    drawn = [ranking for ranking in rankings if ranking.both]
    if not drawn:
        return Markup("")
    figure, axes = _axes("sensitivity (recall)", "precision")
    for ranking in drawn:
        y, x, _ = precision_recall_curve(
            ranking.labels, ranking.scores, sample_weight=ranking.weights, drop_intermediate=True
        )
        colour, dashes = LOOKS[ranking.level]
        few = _thinned(x, y)
        axes.plot(x[few], y[few], dashes, color=colour, label=_named(ranking.level, "AP", areas))
        axes.axhline(ranking.prevalence, color=colour, linestyle=dashes, linewidth=0.6, alpha=0.6)
    axes.legend(loc="lower left", **LEGEND)
    return _svg(figure, "pr", "Precision-recall curves: precision against sensitivity")


def froc_figure(
    alarms: Sequence[float], found: Sequence[float], at_rates: Sequence[Mapping[str, Any]], unit: str
) -> Markup:
    """FROC curve as a staircase over a logarithmic axis, with the sensitivity and its interval at each stated rate.

    Args:
        alarms, found: false positives per volume and sensitivity at each threshold, the lowest threshold first.
        at_rates: {"rate", "value", "low", "high"} of each rate; None where there is nothing to say.
        unit: what false positives are counted per.
    """
    rates = [row["rate"] for row in at_rates]
    figure, axes = _axes(f"false positives per {unit}", "sensitivity", width=6.4, unit=False)
    axes.set(xscale="log", xlim=(rates[0] / 1.2, rates[-1] * 1.2), ylim=(-0.01, 1.01))
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates], minor=False)
    axes.minorticks_off()
    steps = np.maximum(np.asarray(alarms)[::-1], rates[0] / 2)  # a logarithm has no 0; the highest threshold first
    reach = np.append(steps, rates[-1] * 2)  # the last detection was the last
    axes.step(reach, np.append(found[::-1], found[0]), where="post", color=NORMAL)
    for row in at_rates:
        if row["low"] is not None:
            axes.plot([row["rate"]] * 2, [row["low"], row["high"]], color=NORMAL, linewidth=2, solid_capstyle="butt")
        axes.plot(row["rate"], row["value"], "o", color=NORMAL, markersize=5)
    return _svg(figure, "froc", f"FROC curve: sensitivity against false positives per {unit}")


def score_figure(ranking: Ranking) -> Markup:
    """Histograms of the scores of normal and abnormal ones, as shares of each class, with the threshold as a line."""
    what = f"{ranking.level} score"
    figure, axes = _axes(what, f"share of {ranking.level}s, %", unit=False)
    edges = np.histogram_bin_edges(ranking.scores, int(np.clip(2 * len(ranking.scores) ** 0.5, 8, MOST_BINS)))
    for label, name, colour in ((0, "normal", NORMAL), (1, "abnormal", ABNORMAL)):
        scores = ranking.scores[ranking.labels == label]
        if not len(scores):
            continue
        shares = 100 * np.histogram(scores, edges)[0] / len(scores)
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(
            shares,
            edges,
            color=colour,
            linewidth=1.6,
            linestyle="--" if label else "-",
            label=f"{name} ({len(scores)})",
        )
    if ranking.threshold is not None:
        axes.axvline(ranking.threshold, color=INK, linewidth=1.2, label=f"threshold {ranking.threshold:.3g}")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        borderaxespad=0,
        columnspacing=0.9,
        handlelength=1.4,
        handletextpad=0.5,
        fontsize=9,
        **LEGEND,
    )
    return _svg(figure, f"scores-{ranking.level}", f"Histograms of the {what}s of normal and abnormal {ranking.level}s")


def size_figure(names: Sequence[str], intervals: Sequence[Mapping[str, Any]]) -> Markup:
    """Sensitivity of each band of lesion sizes with its interval.

    Args:
        names: one a band, smallest lesions first.
        intervals: {"value", "low", "high"} of each; None where there is nothing to say.
    """
    figure, axes = _axes("sensitivity", "", height=0.75 + 0.36 * len(names), width=6.4, unit=False)
    for y, interval in enumerate(intervals):
        if interval["value"] is None:
            continue
        if interval["low"] is not None:
            axes.plot([interval["low"], interval["high"]], [y, y], color=NORMAL, linewidth=2, solid_capstyle="butt")
        axes.plot(interval["value"], y, "o", color=NORMAL)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5), yticks=range(len(names)), yticklabels=names)
    return _svg(figure, "sizes", "Share of lesions found in each band of sizes")


def _axes(x: str, y: str, *, width: float = 4.7, height: float = 3.7, unit: bool = True) -> tuple[Figure, Axes]:
    """A figure of one plot; `unit`: both axes from 0 to 1."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.grid(True)
        axes.set(xlabel=x, ylabel=y)
        if unit:
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return figure, axes


def _named(level: str, measure: str, areas: Mapping[str, float | None]) -> str:
    area = areas.get(level)
    return level if area is None else f"{level} ({measure} {area:.3f})"


def _thinned(x: NDArray, y: NDArray) -> NDArray[np.intp]:
    """Points of a curve, at most `POINTS`, spread evenly over its length, so that steep parts keep theirs."""
    if len(x) <= POINTS:
        return np.arange(len(x))
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    return np.unique(np.searchsorted(length, np.linspace(0, length[-1], POINTS)).clip(0, len(x) - 1))


def _svg(figure: Figure, name: str, description: str) -> Markup:
    """Inline SVG: the page's colours, names of its own parts made unique, described for screen readers."""
    stream = StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(
            stream, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\g<1>#{name}-", text)
    text = re.sub(r"<(defs|metadata)>\s*(<style.*?</style>|<rdf.*?</rdf:RDF>|)\s*</\1>", "", text, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1))
