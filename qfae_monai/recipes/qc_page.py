"""The page to look at before training: a montage and histograms of every split, and everything refused and why."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from qfae_monai.outline import draw_outline
from qfae_monai.recipes.histograms import Histogram, add_up
from qfae_monai.recipes.images import decode
from qfae_monai.recipes.source import SPLITS

__all__ = ["qc_page"]

TILES = 14  # of a montage
TILE = 128  # pixels of a tile's longer side
RED = (60, 60, 255)  # of a lesion's outline, in cv2's order
PLOT_WIDTH, PLOT_HEIGHT = 420, 180
COLOURS = {"train": "#1b6ca8", "valid": "#d98200", "test": "#a8324a"}
CLASSES = ("normal", "abnormal")


def qc_page(
    output: Path,
    rows: Sequence[dict[str, Any]],
    records: Sequence[dict[str, Any]],
    settings: Mapping[str, Any],
    told: Sequence[str],
) -> str:
    """One self-contained HTML page.

    Args:
        output: folder of the outputs, from which the montages are made.
        rows: of the manifest.
        records: of the sources.
        settings: of the run.
        told: how patients were told apart, in sentences.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qfae_monai.recipes", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    groups = [
        (split, CLASSES[label], found)
        for split in SPLITS
        for label in (0, 1)
        if (found := [row for row in rows if row["split"] == split and row["label"] == label])
    ]
    form = str(settings["format"])
    return environment.get_template("qc_page.html.jinja").render(
        settings=settings,
        told=told,
        counts=[(split, name, len(found), len({row["patient"] for row in found})) for split, name, found in groups],
        montages=[(split, name, _tiles(output, found, form)) for split, name, found in groups],
        plots=[_plot(records, when) for when in ("before", "after")],
        colours=COLOURS,
        refused=[record for record in records if record["reason"]],
        burned_in=[record for record in records if record["burned_in_annotation"] == "yes"],
        risks=sorted({(row["series"], row["allowed_risks"]) for row in rows if row["allowed_risks"]}),
        shared=_shared_patients(rows),
    )


def _tiles(output: Path, rows: Sequence[dict[str, Any]], form: str) -> list[tuple[str, str]]:
    """(caption, data URI) of slices spread evenly over a group."""
    picked = np.unique(np.linspace(0, len(rows) - 1, min(TILES, len(rows))).round().astype(int))
    tiles = []
    for row in (rows[i] for i in picked):
        mask = (output / row["mask"]).read_bytes() if row["mask"] else None
        tile = _tile((output / row["output"]).read_bytes(), mask, form)
        caption = f"{row['patient']} {row['series']} slice {row['slice_index']}"
        tiles.append((caption, "data:image/png;base64," + b64encode(cv2.imencode(".png", tile)[1].tobytes()).decode()))
    return tiles


def _tile(image: bytes, mask: bytes | None, form: str) -> NDArray[Any]:
    """(H, W) or, with the lesion outlined, (H, W, 3); uint8, at most `TILE` wide and high."""
    grey = decode(image, form)
    scale = min(1.0, TILE / max(grey.shape))
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    tile = np.rint(cv2.resize(grey, size, interpolation=cv2.INTER_AREA).clip(0, 1) * 255).astype(np.uint8)
    if mask is None:
        return tile
    lesion = decode(mask, "npy" if form == "npy" else "png8")
    small = cv2.resize(lesion, size, interpolation=cv2.INTER_AREA)
    return draw_outline(cv2.cvtColor(tile, cv2.COLOR_GRAY2BGR), small, RED)


def _plot(records: Sequence[dict[str, Any]], when: str) -> dict[str, Any]:
    """Lines of one histogram a split, as points of an SVG; shares of the split's pixels, on a common square-root scale.

    Background is most of many images, and on a linear scale nothing else would show.
    """
    found = {
        split: histogram
        for split in SPLITS
        if (histogram := add_up(r["histograms"][split][when] for r in records if split in r["histograms"]))
    }
    shares = {split: np.sqrt(np.array(h.counts) / sum(h.counts)) for split, h in found.items()}
    low = min((h.low for h in found.values()), default=0.0)
    high = max((h.high for h in found.values()), default=1.0)
    top = max((share.max() for share in shares.values()), default=1.0)
    lines = {
        split: " ".join(
            f"{x:.1f},{y:.1f}"
            for x, y in zip(_places(found[split], low, high), PLOT_HEIGHT * (1 - share / top), strict=True)
        )
        for split, share in shares.items()
    }
    return {"when": when, "low": low, "high": high, "lines": lines, "width": PLOT_WIDTH, "height": PLOT_HEIGHT}


def _places(histogram: Histogram, low: float, high: float) -> NDArray[np.float64]:
    """Horizontal places of a histogram's bins in the plot."""
    bins = len(histogram.counts)
    centres = histogram.low + (np.arange(bins) + 0.5) * (histogram.high - histogram.low) / bins
    return (centres - low) / (high - low) * PLOT_WIDTH


def _shared_patients(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Patients in more than one split, as some published splits have them."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["patient"], set()).add(row["split"])
    return sorted(patient for patient, names in splits.items() if len(names) > 1)
