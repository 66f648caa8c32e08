"""A published checkpoint on its test set, read in two ways: as the released evaluation does it, and every image.

The released evaluation shuffles the test set, keeps the first 9,999 images and drops the last incomplete batch of 64.
Which images it leaves out depends on the order in which its authors' disk listed the folder, so beside the figure of
one order the lowest and highest of many are stated.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.experiments.rows import DATASETS, LAYOUT, Published, find_row
from qfae_monai.experiments.seed_run import MODEL, percent_auroc, score_images
from qfae_monai.experiments.sizes import row_settings
from qfae_monai.files import write_json
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.importing import import_checkpoint

CAP = 9999  # images
BATCH = 64  # images
SEED = 42
ORDERS = 200
SCORES_ALONE = {"rivals": "$None", "save_pictures": False}
"""A published checkpoint needs no training images, and none are asked for."""


def evaluate_released(
    dataset: str,
    checkpoint: Path,
    data: Path,
    output: Path,
    *,
    preset: str = "paper",
    layout: str = LAYOUT,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Score every test image once and state both readings; written to `output/readings.json`.

    Args:
        dataset: one of `DATASETS`; its row gives scoring and published figure.
        checkpoint: in the released layout (`last_ckpt.pth`) or the bundle's own.
        data, output: folders.
        preset, layout, settings: as in `run_experiment`.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if the data set is not known, or the checkpoint does not fit.
    """
    if dataset not in DATASETS:
        raise ValueError(f"expected a data set of {', '.join(DATASETS)}, got {dataset!r}")
    row = find_row(f"qfae-{dataset}")
    Bundle([*row.overlays(layout), "evaluate"]).check_known(settings or {})
    sized = row_settings(row, preset)
    given = {**SCORES_ALONE, "preset": preset, **sized, **(settings or {}), "dataset_dir": path_text(data)}
    import_checkpoint(checkpoint, output / MODEL, row.overlays(layout), given)
    labels, scores = score_images(output, row.overlays(layout), given, model=output / MODEL)
    readings = {
        "dataset": dataset,
        "checkpoint": str(checkpoint),
        "unit": "image AUROC in percent",
        **two_readings(labels, scores),
        "published": None if row.published is None else asdict(row.published),
    }
    write_json(output / "readings.json", readings)
    return readings


def two_readings(
    labels: NDArray, scores: NDArray, *, cap: int = CAP, batch: int = BATCH, orders: int = ORDERS
) -> dict[str, dict[str, Any]]:
    """Image AUROC of every image, and of the images that the released evaluation keeps.

    Args:
        labels, scores: (N,) in a fixed order: normal images by name, then abnormal ones.
        cap: images kept at most.
        batch: the last incomplete batch of this size is dropped.
        orders: how many shuffles the range is taken over; the first, of seed 42, gives the figure.

    Returns:
        `every_image` and `released`, each with `images` and `image_auroc` in percent; `released` also has `low` and
        `high`. Its figures are None where fewer images than a batch, or of one class only, are left.
    """
    kept = min(len(scores), cap) // batch * batch
    values = [_auroc(labels, scores, _shuffled(len(scores), SEED + number)[:kept]) for number in range(orders)]
    defined = [value for value in values if value is not None]
    return {
        "every_image": {"images": len(scores), "image_auroc": percent_auroc(labels, scores)},
        "released": {
            "images": kept,
            "image_auroc": values[0],
            "low": min(defined, default=None),
            "high": max(defined, default=None),
        },
    }


def format_readings(readings: Mapping[str, Any]) -> str:
    """Both readings side by side, and what was published."""
    every, released, published = (readings[key] for key in ("every_image", "released", "published"))
    lines = [
        f"{readings['dataset']}: image AUROC, %",
        f"{'every image':<22}{every['images']:>7}  {every['image_auroc']:.2f}",
    ]
    if released["image_auroc"] is None:
        lines.append(f"{'released reading':<22}{released['images']:>7}  not defined: no batch with both classes")
    else:
        lines.append(
            f"{'released reading':<22}{released['images']:>7}  {released['image_auroc']:.2f} "
            f"({released['low']:.2f} to {released['high']:.2f} over orders)"
        )
    if published is not None:
        lines.append(f"{'published checkpoint':<22}{'':>7}  {published['checkpoint']:.1f}")
        lines.append(f"{'published, five seeds':<22}{'':>7}  {Published(**published)}")
    return "\n".join(lines)


def _shuffled(count: int, seed: int) -> list[int]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order


def _auroc(labels: NDArray, scores: NDArray, chosen: list[int]) -> float | None:
    found = labels[chosen] if chosen else np.empty(0)
    return percent_auroc(found, scores[chosen]) if len(set(found.tolist())) == 2 else None
