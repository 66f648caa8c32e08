"""A paragraph for the methods section of a paper: what was done, with figures and versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qfae_monai.evaluation.jackknife import FEWEST
from qfae_monai.evaluation.levels import measure_name
from qfae_monai.evaluation.rendering import UNDEFINED, interval, number, percent
from qfae_monai.reading.left_aside import counted

METHOD = (
    "Anomalies were detected with the Q-Former Autoencoder (Dalmonte et al., WACV 2026, arXiv 2507.18481), trained on "
    "normal scans only"
)
INTERVALS_BY = (
    "AUROC: Newcombe's score interval, its variance multiplied by a design effect from the jackknife over patients "
    "where patients have several items; rates with one item per patient: Wilson's; sensitivity at a specificity with "
    "one item per patient: the bootstrap of Zhou and Qin; all others: Student's, of the logit (of amounts, of the "
    f"logarithm), with the variance from the jackknife over patients. None below {FEWEST} patients in the "
    "smaller class."
)
AT_PIXEL_THRESHOLD = {
    "dice": "mean Dice",
    "lesion_sensitivity": "share of lesions touched",
    "false_positives_per_volume": "false positives per case",
}
NAMES = {"qfae-monai": "QFAE for MONAI", "monai": "MONAI", "torch": "PyTorch", "python": "Python"}


def methods(run: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The paragraph, as plain text.

    Args:
        run: content of `run.json`.
        summary: content of `evaluation.json`, None where a figure is undefined.
    """
    level = f"{100 * summary['intervals']['level']:.0f} %"
    sentences = [
        f"{METHOD}, as implemented in {_software(run['versions'])}{_encoder(run['configuration'])}.",
        _training(run.get("training"), run.get("folds")),
        _cohort(summary),
        _thresholds(run["calibration"], summary),
        *_results(summary, level),
        f"Intervals are over patients. {INTERVALS_BY} Differences between measures on the same items were tested by a "
        "sign-flip permutation test over patients.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _software(versions: Mapping[str, str]) -> str:
    first, *others = [f"{name} {versions[key]}" for key, name in NAMES.items() if key in versions] or ["QFAE for MONAI"]
    return f"{first} ({', '.join(others)})" if others else first


def _encoder(settings: Mapping[str, Any]) -> str:
    """Frozen encoder and image size, where the configuration names them."""
    encoder, size = settings.get("model::encoder::name"), settings.get("model::image_size")
    found = "" if encoder is None else f", with the frozen encoder {encoder}"
    if found and settings.get("model::encoder::seed") is not None:
        found += f" of random weights (seed {settings['model::encoder::seed']})"
    return found if size is None else f"{found}{',' if not found else ''} at {size} x {size} pixels"


def _training(training: Mapping[str, Any] | None, folds: int | None) -> str:
    if not training:
        return ""
    each = f"{folds} models were trained, one per fold, the first" if folds else "It was trained"
    return (
        f"{each} for {counted(training['epochs'], 'epoch')} ({counted(training['iterations'], 'iteration')}) on "
        f"{training['training_images']} normal images or slices, in {training['format']}, with seed {training['seed']}."
    )


def _cohort(summary: Mapping[str, Any]) -> str:
    counts, kind = summary["counts"], summary["kind"]
    unlabelled = f", {counts['unlabelled_cases']} without a label left out" if counts["unlabelled_cases"] else ""
    slices = f", {counted(counts['slices'], 'slice')}" if kind == "volume" else ""
    return (
        f"The test set had {counted(counts['cases'], kind)} of {counted(counts['patients'], 'patient')} "
        f"({counts['normal_cases']} normal, {counts['abnormal_cases']} abnormal{unlabelled}{slices}, "
        f"{counted(counts['lesions'], 'lesion')})."
    )


def _thresholds(calibration: Mapping[str, Any] | None, summary: Mapping[str, Any]) -> str:
    if not calibration:
        return "No threshold was set."
    threshold = summary["threshold"] or {}
    found = [
        f"{percent(row['achieved_fpr'])} of {row['n']} normal {level}s ({_limits(row)}) and "
        f"{percent(row['sensitivity'])} of the abnormal ones"
        for level in ("slice", "volume", "image")
        if (row := threshold.get(level)) and row["sensitivity"] is not None and row["achieved_fpr"] is not None
    ]
    normals = counted(calibration["patients"], "held-out normal patient")
    wanted = percent(calibration["wanted_fpr"])
    tested = f"; on the test set they were exceeded by {', '.join(found)}" if found else ""
    return (
        f"Thresholds were set by split conformal prediction on {normals} for a false-positive rate of {wanted}{tested}."
    )


def _results(summary: Mapping[str, Any], level: str) -> list[str]:
    """A sentence for each level whose figures are defined, and one for masks at the pixel threshold."""
    known = {
        f"At the level of {name}s": {measure_name(key): value for key, value in values.items()}
        for name, values in summary["metrics"].items()
    }
    pixel = (summary["threshold"] or {}).get("pixel")
    if pixel:
        known["At the pixel threshold"] = {name: pixel[key] for key, name in AT_PIXEL_THRESHOLD.items()}
    sentences = []
    for place, values in known.items():
        figures = [_figure(name, value, level) for name, value in values.items() if value["value"] is not None]
        if figures:
            sentences.append(f"{place}: {'; '.join(figures)}.")
    return [*sentences, "Here n is the number of patients in the smaller class."] if sentences else []


def _figure(name: str, value: Mapping[str, Any], level: str) -> str:
    limits = "no interval" if value["reason"] else f"{level} interval {interval(value)}"
    return f"{name} = {number(value['value'])} ({limits}, n = {value['smaller_class']})"


def _limits(row: Mapping[str, Any]) -> str:
    low, high = row["low"], row["high"]
    return UNDEFINED if low is None or high is None else f"{percent(low)} to {percent(high)}"
