"""Lesion figures of a test set: detections by rule and surfaces at the pixel threshold; FROC and best thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.detection import RULES, of_rule
from qfae_monai.evaluation.estimates import Amount, Estimate, mean, rate
from qfae_monai.evaluation.froc import Froc
from qfae_monai.evaluation.jackknife import Sample
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.surfaces import TOLERANCE
from qfae_monai.evaluation.weighted import Array, weighted_ratio


def detections(masked: Table) -> dict[str, Any]:
    """Each rule's lesions found, false positives and lesion-wise F1; rules that an older run did not count are absent.

    F1 is 2 found / (found + lesions + false positives), over all cases at once: the harmonic mean of the share of
    lesions that are found and, with as many true detections as lesions found, the share of detections that are true.

    Args:
        masked: rows of `volumes.csv`, cases with a mask that were held against the pixel threshold.
    """
    patients, sample = masked["patient"], Sample(masked["patient"])
    abnormal = Sample(patients, masked["lesions"][:, None])  # F1 says nothing of who has no lesion
    _, own, cases = np.unique(patients, return_inverse=True, return_counts=True)
    found: dict[str, Any] = {}
    for rule in RULES:
        hits, false = (masked[of_rule(column, rule)] for column in ("lesions_found", "false_positives"))
        if np.isnan(hits).any():
            continue
        figures = {
            "sensitivity": rate(patients, hits, masked["lesions"]),
            "false_positives_per_volume": mean(patients, false, amount=True),
            "false_positives_per_patient": _ratio(Amount, sample, false, 1 / cases[own]),
            "f1": _ratio(Estimate, abnormal, 2 * hits, hits + masked["lesions"] + false),
        }
        found[rule] = {name: asdict(figure.interval()) for name, figure in figures.items()}
    return found


def _ratio(kind: type[Estimate], sample: Sample, part: Array, whole: Array) -> Estimate:
    value = float(part.sum() / whole.sum()) if whole.sum() > 0 else float("nan")
    return kind(value, sample, weighted_ratio(part, whole))


def surface_figures(masked: Table) -> dict[str, Any] | None:
    """Surface distances over cases with a lesion and known spacing, mm; None where there is no such case.

    Args:
        masked: as for `detections`.
    """
    known = masked.where(~np.isnan(masked["surface_dice"]))  # of an older run, of images, and without a lesion: unknown
    if not len(known):
        return None
    defined = known.where(~np.isnan(known["surface_distance"]))
    return {
        "surface_distance": asdict(mean(defined["patient"], defined["surface_distance"], amount=True).interval()),
        "hausdorff95": asdict(mean(defined["patient"], defined["hausdorff95"], amount=True).interval()),
        "surface_dice": asdict(mean(known["patient"], known["surface_dice"]).interval()),
        "tolerance": TOLERANCE,
        "cases": len(known),
        "undefined": len(known) - len(defined),  # nothing above the threshold
    }


def froc_figures(run: RunFolder) -> dict[str, Any] | None:
    """FROC of a run; None where it has no masks or is of an older version."""
    froc = Froc.of(run)
    return None if froc is None else froc.figures()


def chosen_on_test_set(run: RunFolder, pixel: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Best figures over all thresholds, chosen with the labels of the test set: upper bounds, and without intervals.

    Args:
        run: folder of the run.
        pixel: figures at the calibrated pixel threshold, None without one; they stand beside the best as `calibrated`.

    Returns:
        `{"dice_of_all_pixels", "dice_of_each_case", "lesion_f1"}`, each `{"value", "threshold", "calibrated"}`; None
        without masks. Each case has a threshold of its own, so that there is none to state for the second.
    """
    whole, froc = run.pixels.maps.get("anomaly_map"), Froc.of(run)
    if whole is None:
        return None
    best, threshold = whole.best_dice()
    of_cases = [case.best_dice()[0] for case in run.pixels.cases.values() if case.lesion.any()]
    f1, reached = (float("nan"), float("nan")) if froc is None else froc.best_f1()
    known = pixel or {"dice": {"value": None}, "detection": {}}
    at_calibrated = None if pixel is None else whole.dice(pixel["threshold"])
    calibrated_f1 = known["detection"].get("any", {"f1": {"value": None}})["f1"]["value"]
    return {
        "dice_of_all_pixels": {"value": best, "threshold": threshold, "calibrated": at_calibrated},
        "dice_of_each_case": {
            "value": float(np.mean(of_cases)) if of_cases else float("nan"),
            "threshold": None,
            "calibrated": known["dice"]["value"],
        },
        "lesion_f1": {"value": f1, "threshold": reached, "calibrated": calibrated_f1},
    }
