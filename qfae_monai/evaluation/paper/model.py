"""Questions on the model, its training and its threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qfae_monai.evaluation.paper.line import Facts, Line, left_to_author, line
from qfae_monai.evaluation.rendering import percent
from qfae_monai.reading.left_aside import counted

MODEL, TRAINING = ("CLAIM 2024, Methods: Model", "CLAIM 2024, Methods: Training")


def model_lines(facts: Facts) -> Sequence[Line]:
    """Lines in the order of the guideline."""
    return [
        _settings(facts),
        _software(facts),
        _training(facts),
        _faults(facts),
        left_to_author(
            "On which data were settings and the final model chosen?",
            TRAINING,
            "State it, and that it was not the test set: a run cannot tell how many others came before it.",
        ),
        _threshold(facts),
        _rates(facts),
        _seeds(facts),
    ]


def _settings(facts: Facts) -> Line:
    run, settings = facts.run, facts.run["configuration"]
    return line(
        "Are preprocessing and model described so that they can be repeated?",
        MODEL,
        f"run.json has {counted(len(settings), 'value')} of preprocessing, network and scoring; checkpoint "
        f"{run['checkpoint']['file']}, SHA-256 {run['checkpoint']['sha256'][:12]}...",
        concern=not settings,
    )


def _software(facts: Facts) -> Line:
    run = facts.run
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    numbers = f", {run['format']}" if "format" in run else ""
    return line("With which software and device?", MODEL, f"{versions}; {run['device']}{numbers}.")


def _training(facts: Facts) -> Line:
    training, question = facts.run.get("training"), "How was it trained?"
    if not training:
        return line(question, TRAINING, "No record of a training came with the checkpoint: state it.", concern=True)
    return line(
        question,
        TRAINING,
        f"{counted(training['epochs'], 'epoch')}, {counted(training['iterations'], 'iteration')} on "
        f"{training['training_images']} images or slices; seed {training['seed']}; {training['format']} on "
        f"{training['device']}.",
    )


def _faults(facts: Facts) -> Line:
    training, question = facts.run.get("training"), "Did the training succeed?"
    if not training:
        return line(question, TRAINING, "Unknown, without its record.", concern=True)
    held_out, warnings = training["held_out"] or {}, training["warnings"]
    distances = [held_out.get(name) for name in ("distance", "mean_image_distance")]
    figures = (
        "" if None in distances else f" Held-out distance {distances[0]:.3g}, of the mean image {distances[1]:.3g}."
    )
    said = "; ".join(warnings) if warnings else "No warning"
    return line(question, TRAINING, f"{said}.{figures}", concern=warnings)


def _threshold(facts: Facts) -> Line:
    question, source = "Where does the threshold come from?", "Metrics Reloaded, metric application"
    calibration = facts.run["calibration"]
    if not calibration:
        answer = "There is none: nothing is called found or missed, and no figure depends on one."
        return line(question, source, answer, concern=True)
    notes = "".join(f" {note.rstrip('.')}." for note in calibration["notes"])
    wanted, of_pixels = percent(calibration["wanted_fpr"]), percent(calibration["wanted_pixel_fpr"])
    return line(
        question,
        source,
        f"From {counted(calibration['patients'], 'held-out normal patient')} ({calibration['file']}), by split "
        f"conformal prediction; false-positive rate wanted: {wanted}, of pixels (a quantile) {of_pixels}.{notes}",
        concern=calibration["volume_threshold"] is None and calibration["slice_threshold"] is None,
    )


def _rates(facts: Facts) -> Line:
    """Whether the wanted rate was met on the test set."""
    question, source = "Was the wanted false-positive rate met?", "Metrics Reloaded, metric application"
    if not facts.rates:
        return line(question, source, "Unknown: there is no threshold of slices or cases.", concern=True)
    wanted = facts.threshold["wanted_fpr"]
    parts = [
        f"{level}s {percent(row['achieved_fpr'])} ({_limits(row)}; {row['n']} normal ones)"
        for level, row in facts.rates.items()
    ]
    missed = [
        row["achieved_fpr"] is None or (row["low"] is not None and not row["low"] <= wanted <= row["high"])
        for row in facts.rates.values()
    ]
    return line(question, source, f"Wanted {percent(wanted)}; {', '.join(parts)}.", concern=any(missed))


def _limits(row: Mapping[str, Any]) -> str:
    return "no interval" if row["low"] is None else f"{percent(row['low'])} to {percent(row['high'])}"


def _seeds(facts: Facts) -> Line:
    """Intervals are over patients: what chance does to a training is not in them."""
    question, source = "Is it one training, or several?", "CLAIM 2024, Results: Model Performance"
    folds = facts.run.get("folds")
    if folds:
        return line(question, source, f"{folds} trainings, one per fold, each tested on other patients.")
    training = facts.run.get("training")
    seed = f" (seed {training['seed']})" if training else ""
    answer = f"One{seed}: the intervals do not contain the spread over trainings. Several seeds tell it."
    return line(question, source, answer, concern=True)
