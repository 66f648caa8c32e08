"""Cautions that precede the figures, in sentences: what is undefined and why, and what rivals the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation.case_columns import TRIVIAL_COLUMNS
from qfae_monai.evaluation.differences import paired_difference
from qfae_monai.evaluation.levels import FEATURES, MAPS, RIVALS, Level, measure_name
from qfae_monai.evaluation.reconstruction import reconstruction_cautions, score_uses_reconstruction
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.reading.left_aside import counted

# The shortcut alarm: what a file's size, a slice's brightness or its position alone would achieve on the same items.
# A test set that such a feature separates says little about a detector, however high its own figure.

MARGIN = 0.02
"""A feature rivals the model when it comes as near as this, or when the lead's interval includes 0."""

FILE_FEATURES = ("file_size", "channels", "matrix_size")


def shortcuts(run: RunFolder, levels: Sequence[Level]) -> list[dict[str, Any]]:
    """Every feature against the model at its level, strongest first; none where a class is missing.

    The mean image rivals no score that does not use the reconstruction: it is the same score.
    """
    found, same = [], _same_score(run)
    for level in levels:
        for name, values in features(run, level).items():
            known = ~np.isnan(values)
            rows = level.where(known)
            if rows.normals and rows.abnormals:
                row = _held_against(rows, name, values[known])
                found.append({**row, "rivals": row["rivals"] and name not in same})
    return sorted(found, key=lambda row: (row["level"], -row["separability"], row["feature"]))


def features(run: RunFolder, level: Level) -> dict[str, NDArray[np.float64]]:
    """Feature -> its value for each row of the level; NaN where unknown."""
    rows = level.rows
    if level.name == "slice":
        return {
            **{name: rows[name] for name in TRIVIAL_COLUMNS},
            "position": rows["position"],
            "distance_to_middle": np.abs(rows["position"] - 0.5),
            **{name: rows[name] for name in RIVALS},
        }
    if level.name == "image":
        by_case = {case: number for number, case in enumerate(run.volumes["case"].tolist())}
        place = np.array([by_case[case] for case in rows["case"].tolist()], dtype=np.intp)
        return {
            **{name: rows[name] for name in (*TRIVIAL_COLUMNS, *RIVALS)},
            **{name: run.volumes[name][place] for name in FILE_FEATURES},
        }
    return {
        **{name: rows[name] for name in (*FILE_FEATURES, "scored", *RIVALS)},
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
    wanted = (float("nan") if model is None else model.average_precision()) - MARGIN
    others = {name: measures for name, measures in maps.items() if name not in _same_score(run)}
    return maps, [name for name, measures in others.items() if measures["average_precision"] >= wanted]


def _same_score(run: RunFolder) -> tuple[str, ...]:
    """Feature and map that are the model's own."""
    return () if score_uses_reconstruction(run.run["configuration"]) else ("rival_mean_image", "mean_image")


def pixel_ties(run: RunFolder) -> dict[str, float]:
    """Average precision of pixels with all that share a bin ranked against (`low`) and for (`high`) the lesions."""
    model = run.pixels.maps.get("anomaly_map")
    low, high = (float("nan"),) * 2 if model is None else model.average_precision_bounds()
    return {"low": low, "high": high}


def _held_against(level: Level, name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """A low feature tells as much as a high one: it is turned around once, by its AUROC on the whole test set."""
    model = level.measures["auroc"]
    feature = level.scored_by(values)
    area = feature.measures["auroc"]
    separability = max(area, 1 - area)
    turned = feature if area >= 0.5 else level.scored_by(-values)
    lead = paired_difference(replace(turned.estimates["auroc"], value=separability), level.estimates["auroc"])
    near = (
        separability >= model - MARGIN or lead.low <= 0
    )  # without an interval `low` is NaN, and only the first counts
    return {
        "feature": name,
        "level": level.name,
        "auroc": area,
        "separability": separability,
        "interval": asdict(feature.estimates["auroc"].interval()),
        "difference": asdict(lead),
        "rivals": bool(near and np.ptp(values) > 0),  # a constant tells nothing, however bad the model
    }


def _mean_over_slices(run: RunFolder, name: str, cases: list[str]) -> NDArray[np.float64]:
    owners, place = np.unique(run.slices["case"], return_inverse=True)
    with np.errstate(invalid="ignore"):
        means = np.bincount(place, weights=run.slices[name]) / np.bincount(place)
    by_case = dict(zip(owners.tolist(), means.tolist(), strict=True))
    return np.array([by_case.get(case, np.nan) for case in cases])


FEW = 10
"""Patients below which figures are no more than a hint."""

TIED = 0.01
"""Distance of the bounds of average precision from which on ties are spoken of."""


def cautions(summary: Mapping[str, Any], levels: Sequence[Level]) -> list[str]:
    """Sentences about a summary as `summarise` makes it, gravest first.

    Args:
        summary: without `warnings`; NaN where a figure is undefined.
        levels: whose figures are in it.
    """
    return [
        *_undefined(summary, levels),
        *_missing(summary),
        *reconstruction_cautions(summary, levels),
        *_rivals(summary),
        *_rates(summary),
    ]


def training_cautions(record: Mapping[str, Any] | None) -> list[str]:
    """Warnings from the record of a model's training; empty without a record."""
    return [] if record is None else [f"Training: {sentence}." for sentence in record["warnings"]]


def _undefined(summary: Mapping[str, Any], levels: Sequence[Level]) -> list[str]:
    found = [
        f"The {level.name}-level figures are undefined: expected normal and abnormal {level.name}s, got "
        f"{level.normals} normal and {level.abnormals} abnormal."
        for level in levels
        if not (level.normals and level.abnormals)
    ]
    pixel = summary["metrics"]["pixel"]
    if math.isnan(pixel["auroc"]["value"]):
        why = (
            "no case has a mask"
            if not summary["counts"]["cases_with_mask"]
            else ("among the scored slices with a mask there are not both lesion and other pixels")
        )
        found.append(f"The pixel-level figures are undefined: {why}.")
    ties = summary["pixel_ties"]
    if ties["high"] - ties["low"] > TIED:
        found.append(
            "Map values fill few bins, as values far from 0 do that differ by little: with the pixels of a bin ranked "
            f"against or for the lesions, pixel average precision is {ties['low']:.3f} or {ties['high']:.3f}."
        )
    patients = summary["counts"]["patients"]
    if patients < FEW:
        found.append(f"The figures are of {counted(patients, 'patient')}: so few stand for no population.")
    else:
        found += _few(summary, levels)
    return found + no_intervals(
        {
            f"{level} {measure_name(name)}": interval
            for level, measures in summary["metrics"].items()
            for name, interval in measures.items()
        }
    )


def _few(summary: Mapping[str, Any], levels: Sequence[Level]) -> list[str]:
    """A sentence on levels with few patients in a class; one with none is undefined, which is said."""
    counts = {level.name: summary["metrics"][level.name]["auroc"]["smaller_class"] for level in levels}
    few = ", ".join(f"{count} with such {level}s" for level, count in counts.items() if 0 < count < FEW)
    if not few:
        return []
    return [
        f"Few patients in the smaller class, normal or abnormal: {few}, expected at least {FEW}: the figures are a "
        "hint, and their intervals wide or undefined."
    ]


def no_intervals(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences that say of which figures there is no interval and why, one for each reason.

    Args:
        figures: name -> interval as a mapping; those that are undefined themselves are said elsewhere.
    """
    reasons: dict[str, list[str]] = {}
    for name, interval in figures.items():
        if interval["reason"] and not math.isnan(interval["value"]):
            reasons.setdefault(interval["reason"], []).append(name)
    return [f"No interval for {', '.join(names)}: {reason}." for reason, names in reasons.items()]


def _missing(summary: Mapping[str, Any]) -> list[str]:
    counts, found = summary["counts"], []
    if counts["unlabelled_cases"]:
        found.append(f"{counts['unlabelled_cases']} of {counts['cases']} cases have no label and are left out.")
    labelled = counts["cases"] - counts["unlabelled_cases"]
    if 0 < counts["cases_with_mask"] < labelled:
        found.append(
            f"Pixel and lesion figures are of the {counts['cases_with_mask']} cases with a mask, of {labelled}."
        )
    if summary["threshold"] is None:
        found.append("No calibration: there is no threshold, and nothing is said about a false-positive rate.")
    matched = summary["matched"]
    if matched and matched["unmatched"]:
        found.append(
            f"{matched['unmatched']} abnormal slices found no normal slice from their position and are left out of "
            "the matched figures."
        )
    return found


def _rivals(summary: Mapping[str, Any]) -> list[str]:
    found = []
    for level, measures in summary["metrics"].items():
        rivals = [
            row
            for row in summary["shortcuts"]
            if row["level"] == level and row["rivals"] and row["feature"] != "rival_mean_image"  # said on its own
        ]
        if rivals:
            listed = ", ".join(f"{FEATURES[row['feature']]} ({row['separability']:.3f})" for row in rivals)
            model = measures["auroc"]["value"]
            found.append(f"Shortcut: one feature alone rivals the model (AUROC {model:.3f}) on {level}s: {listed}.")
    if summary["maps_rivals"]:
        maps = {name: summary["maps"][name]["average_precision"] for name in summary["maps_rivals"]}
        listed = ", ".join(f"{MAPS[name]} ({value:.3f})" for name, value in maps.items())
        model = summary["metrics"]["pixel"]["average_precision"]["value"]
        found.append(f"Shortcut: a plain map rivals the model's (pixel average precision {model:.3f}): {listed}.")
    return found


def _rates(summary: Mapping[str, Any]) -> list[str]:
    threshold = summary["threshold"]
    if threshold is None:
        return []
    found = []
    wanted = threshold["wanted_fpr"]
    for name in ("slice", "volume", "image"):
        rates = threshold.get(name)
        if rates and not math.isnan(rates["low"]) and not rates["low"] <= wanted <= rates["high"]:
            found.append(
                f"At the {name} threshold the false-positive rate is {rates['achieved_fpr']:.3f} "
                f"({rates['low']:.3f} to {rates['high']:.3f}, {rates['n']} normal {name}s), wanted was {wanted:g}."
            )
    return found + list(threshold["notes"])
