"""Table of an evaluation for the terminal, and a montage of slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qfae_monai.files import whole_file

WORDS = {"auroc": "AUROC", "average_precision": "AP", "aupro": "AUPRO"}
ROWS = ("input", "reconstruction", "anomaly map", "lesion mask")


def format_table(evaluation: Mapping[str, Any]) -> str:
    """Figures of an evaluation with their intervals and, below them, how well simple features separate the same data.

    Args:
        evaluation: content of `evaluation.json`.
    """
    lines = [f"{'':<36}value  95 % interval"]
    for level, measures in evaluation["metrics"].items():
        for name, found in measures.items():
            lines.append(f"{f'{level} {WORDS.get(name, name)}'.replace('_', ' '):<36}{_interval(found)}")
    lines.append("by comparison")
    for found in evaluation["shortcuts"]:
        alarm = "  rivals the model" if found["rivals"] else ""
        name = f"{found['level']} AUROC of {found['feature']}".replace("trivial_", "").replace("_", " ")
        lines.append(f"  {name:<34}{_number(found['separability'])}{alarm}")
    for name, measures in evaluation["maps"].items():
        lines.append(f"  {f'pixel AP of {name}'.replace('_', ' '):<34}{_number(measures['average_precision'])}")
    return "\n".join(lines)


def _interval(found: Mapping[str, float | None]) -> str:
    return f"{_number(found['value'])}  {_number(found['low'])} to {_number(found['high'])}"


def _number(value: float | None) -> str:
    return "-    " if value is None else f"{value:.3f}"


def save_montage(path: Path, columns: Sequence[Sequence[NDArray]], titles: Sequence[str]) -> None:
    """Write a PNG with one column a slice: input, reconstruction, anomaly map, lesion mask.

    Args:
        path: of the PNG.
        columns: for each slice four arrays (H, W) in that order.
        titles: one for each column.
    """
    scale = max(float(np.max(column[2])) for column in columns)
    figure = Figure(figsize=(1.6 * len(columns), 6.6), layout="constrained")
    axes = figure.subplots(len(ROWS), len(columns), squeeze=False)
    for x, (column, title) in enumerate(zip(columns, titles, strict=True)):
        limits = (float(column[0].min()), float(np.percentile(column[0], 99.8)))
        styles = [("gray", *limits), ("gray", *limits), ("inferno", 0.0, scale), ("gray", 0.0, 1.0)]
        for y, (pixels, (colours, low, high)) in enumerate(zip(column, styles, strict=True)):
            axes[y, x].imshow(np.rot90(pixels), cmap=colours, vmin=low, vmax=high, interpolation="nearest")
            axes[y, x].set(xticks=[], yticks=[], ylabel=ROWS[y] if x == 0 else "", title=title if y == 0 else "")
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)
