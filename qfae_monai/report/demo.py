"""What an evaluation is shown as: a montage of slices, a table in the terminal, and a JSON with the same numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

ROWS = ("input", "reconstruction", "anomaly map", "lesion mask")


def read_metrics(folder: Path) -> dict[str, float]:
    """Numbers of MONAI's `metrics.csv` in an evaluation's output folder."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return {name.strip(): float(value) for name, value in rows}


def format_table(metrics: Mapping[str, float]) -> str:
    """Metrics and, below them, how well each trivial feature separates the same slices."""
    lines = [f"{'':<36}value"]
    for key, label in (("image_auroc", "image AUROC"), ("volume_auroc", "volume AUROC"), ("pixel_ap", "pixel AP")):
        lines.append(f"{label:<36}{metrics[key]:.3f}")
    lines.append("by comparison, trivial features")
    for key in sorted(key for key in metrics if key.startswith("trivial_")):
        measure = "pixel AP of plain intensity" if key == "trivial_pixel_ap" else f"image AUROC of {key[8:]}"
        lines.append(f"  {measure:<34}{metrics[key]:.3f}")
    return "\n".join(lines)


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
    unfinished = path.with_suffix(".part")
    figure.savefig(unfinished, format="png", dpi=110)
    unfinished.replace(path)
