"""Cautions that precede the figures, in sentences: what is undefined and why, and what rivals the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qfae_monai.evaluation.levels import FEATURES, MAPS, Level

FEW = 10
"""Patients below which an interval is no more than a hint."""

OFTEN = 0.01
"""Share of undefined resamples from which on it is said."""


def cautions(summary: Mapping[str, Any], levels: Sequence[Level]) -> list[str]:
    """Sentences about a summary as `summarise` makes it, gravest first.

    Args:
        summary: without `warnings`; NaN where a figure is undefined.
        levels: whose figures are in it.
    """
    return [
        *_undefined(summary, levels),
        *_missing(summary),
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
        why = "no case has a mask" if not summary["counts"]["cases_with_mask"] else (
            "among the scored slices with a mask there are not both lesion and other pixels"
        )  # fmt: skip
        found.append(f"The pixel-level figures are undefined: {why}.")
    patients = summary["counts"]["patients"]
    if patients < 2:
        found.append(f"There are no intervals: resampling patients takes at least two, got {patients}.")
        return found
    if patients < FEW:
        found.append(
            f"Intervals resample {patients} patients: so few stand for no population, and the limits are coarse."
        )
    for name, measures in summary["metrics"].items():
        share = max(measure["undefined"] for measure in measures.values())
        if OFTEN <= share < 1:
            found.append(
                f"In {share:.0%} of the resamples the {name}-level figures are undefined, as a class was not drawn; "
                "their intervals rest on the others."
            )
    return found


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
        rivals = [row for row in summary["shortcuts"] if row["level"] == level and row["rivals"]]
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
    if threshold.get("slice"):
        found.append(
            "The interval of the slice false-positive rate takes slices as independent; slices of a patient are not, "
            "so it is too narrow."
        )
    return found + list(threshold["notes"])
