"""The shortcut alarm: what a file's size, a slice's brightness or its position alone would achieve on the same items.

A test set that such a feature separates says little about a detector, however high its own figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation.case_columns import TRIVIAL_COLUMNS
from qfae_monai.evaluation.intervals import Array, bootstrap, paired_difference
from qfae_monai.evaluation.levels import Draws, Level
from qfae_monai.evaluation.run_folder import RunFolder

MARGIN = 0.02
"""A feature rivals the model when it comes as near as this, or when the lead's interval includes 0."""

FILE_FEATURES = ("file_size", "channels", "matrix_size")


def shortcuts(run: RunFolder, levels: Sequence[Level], draws: Draws) -> list[dict[str, Any]]:
    """Every feature against the model at its level, strongest first; none where a class is missing."""
    found = []
    for level in levels:
        for name, values in features(run, level).items():
            known = ~np.isnan(values)
            rows = level.where(known)
            if rows.normals and rows.abnormals:
                found.append(_held_against(rows, name, values[known], draws))
    return sorted(found, key=lambda row: (row["level"], -row["separability"], row["feature"]))


def features(run: RunFolder, level: Level) -> dict[str, NDArray[np.float64]]:
    """Feature -> its value for each row of the level; NaN where unknown."""
    rows = level.rows
    if level.name == "slice":
        return {
            **{name: rows[name] for name in TRIVIAL_COLUMNS},
            "position": rows["position"],
            "distance_to_middle": np.abs(rows["position"] - 0.5),
            "rival_neighbours": rows["rival_neighbours"],
        }
    if level.name == "image":
        by_case = {case: number for number, case in enumerate(run.volumes["case"].tolist())}
        place = np.array([by_case[case] for case in rows["case"].tolist()], dtype=np.intp)
        return {
            **{name: rows[name] for name in (*TRIVIAL_COLUMNS, "rival_neighbours")},
            **{name: run.volumes[name][place] for name in FILE_FEATURES},
        }
    return {
        **{name: rows[name] for name in (*FILE_FEATURES, "scored", "rival_neighbours")},
        **{name: _mean_over_slices(run, name, rows["case"].tolist()) for name in TRIVIAL_COLUMNS},
    }


def map_measures(run: RunFolder) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Pixel measures of the maps beside the model's, and the names of those whose average precision rivals it."""
    maps = {
        name: {"auroc": found.auroc(), "average_precision": found.average_precision(), "aupro": found.aupro()}
        for name, found in run.pixels.maps.items()
        if name != "anomaly_map"
    }
    model = run.pixels.maps.get("anomaly_map")
    wanted = float("nan") if model is None else model.average_precision()
    return maps, [name for name, measures in maps.items() if measures["average_precision"] >= wanted - MARGIN]


def _held_against(level: Level, name: str, values: NDArray[np.float64], draws: Draws) -> dict[str, Any]:
    """A low feature tells as much as a high one: it is turned around once, by its AUROC on the whole test set."""
    model = level.measures["auroc"]
    feature = Level(level.name, type(level.rows)({**level.rows.columns, "score": values}), level.specificity)
    area = feature.measures["auroc"]
    separability = max(area, 1 - area)

    def turned(weights: Array) -> Array:
        drawn = feature.resampled["auroc"](weights)
        return drawn if area >= 0.5 else 1 - drawn

    lead = paired_difference(level.patients, turned, level.resampled["auroc"], value=model - separability, **draws)
    near = separability >= model - MARGIN or lead.low <= 0  # with one patient `low` is NaN, and only the first counts
    return {
        "feature": name,
        "level": level.name,
        "auroc": area,
        "separability": separability,
        "interval": asdict(bootstrap(level.patients, feature.resampled["auroc"], value=area, **draws)),
        "difference": asdict(lead),
        "rivals": bool(near and np.ptp(values) > 0),  # a constant tells nothing, however bad the model
    }


def _mean_over_slices(run: RunFolder, name: str, cases: list[str]) -> NDArray[np.float64]:
    owners, place = np.unique(run.slices["case"], return_inverse=True)
    with np.errstate(invalid="ignore"):
        means = np.bincount(place, weights=run.slices[name]) / np.bincount(place)
    by_case = dict(zip(owners.tolist(), means.tolist(), strict=True))
    return np.array([by_case.get(case, np.nan) for case in cases])
