"""Tables of one evaluation: every figure of `evaluation.json` that a paper may state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qfae_monai.evaluation.detection import RULES
from qfae_monai.evaluation.levels import FEATURES, MAPS, measure_name
from qfae_monai.evaluation.paper.table import MEASURED, PaperTable, measured
from qfae_monai.evaluation.reconstruction_table import reconstruction_rows

NOTE = (
    "{level:.0f} % intervals are over patients; n: patients in the smaller class; dash: undefined, or no method holds."
)
PER_PIXEL = {
    "dice": "Dice, mean over cases with a lesion",
    "surface_distance": "average surface distance, mm",
    "hausdorff95": "Hausdorff distance, 95th percentile, mm",
    "surface_dice": "surface Dice",
}
PER_LESION = {
    "sensitivity": "lesions found",
    "false_positives_per_volume": "false positives per case",
    "false_positives_per_patient": "false positives per patient",
    "f1": "F1",
}
CHOSEN = {
    "dice_of_all_pixels": "Dice of all pixels at once",
    "dice_of_each_case": "Dice, each case at its own threshold, mean",
    "lesion_f1": "F1 of lesions touched",
}


def run_tables(run: Mapping[str, Any], summary: Mapping[str, Any]) -> list[PaperTable]:
    """Every table, those without rows too.

    Args:
        run: content of `run.json`, for its name.
        summary: content of `evaluation.json`.
    """
    note = f"{run['name']}. " + NOTE.format(level=100 * summary["intervals"]["level"])
    return [
        _results(summary, note),
        _thresholds(summary, note),
        _pixels(summary, note),
        _lesions(summary, note),
        _froc(summary, note),
        _chosen(summary, run["name"]),
        _sizes(summary, note),
        _classes(summary, note),
        _strata(summary, note),
        _differences(summary, note),
        _reconstruction(summary, run["name"]),
        _shortcuts(summary, note),
        _maps(summary, run["name"]),
    ]


def _results(summary: Mapping[str, Any], note: str) -> PaperTable:
    levels = dict(summary["metrics"])
    if summary["matched"]:
        levels["slice, matched by position"] = summary["matched"]["slice"]
    rows = [
        (level, measure_name(name), *measured(value))
        for level, values in levels.items()
        for name, value in values.items()
    ]
    return PaperTable("results", f"Results of {note}", ("level", "measure", *MEASURED), rows)


def _thresholds(summary: Mapping[str, Any], note: str) -> PaperTable:
    threshold = summary["threshold"] or {}
    rows = []
    for level in ("slice", "volume", "image", "pixel"):
        row = threshold.get(level)
        if row:
            wanted = row.get("wanted_fpr", threshold["wanted_fpr"])  # of pixels one of their own
            normal = [row.get(key) for key in ("low", "high", "n", "normal_patients")]
            above = row.get("sensitivity_interval", dict.fromkeys(("value", "low", "high", "smaller_class", "reason")))
            why = "; ".join(dict.fromkeys(filter(None, (row.get("reason"), above["reason"]))))
            rows.append((level, row["threshold"], wanted, row["achieved_fpr"], *normal, *measured(above)[:-1], why))
    header = ("level", "threshold", "FPR wanted", "FPR", "FPR low", "FPR high", "normals", "normal patients")
    sensitivity = tuple(f"sensitivity {name}".removesuffix(" value") for name in MEASURED[:3])
    caption = f"Shares above the thresholds from normal scans (FPR: false-positive rate) of {note}"
    return PaperTable("thresholds", caption, (*header, *sensitivity, *MEASURED[3:]), rows)


def _pixels(summary: Mapping[str, Any], note: str) -> PaperTable:
    pixel = (summary["threshold"] or {}).get("pixel") or {}
    figures = {**pixel, **(pixel.get("surface") or {})}
    rows = [(name, *measured(figures[key])) for key, name in PER_PIXEL.items() if key in figures]
    return PaperTable("pixels", f"Masks at the pixel threshold of {note}", ("measure", *MEASURED), rows)


def _lesions(summary: Mapping[str, Any], note: str) -> PaperTable:
    rules = ((summary["threshold"] or {}).get("pixel") or {}).get("detection", {})
    rows = [
        (RULES[rule], PER_LESION[name], *measured(figures[name]))
        for rule, figures in rules.items()
        for name in PER_LESION
    ]
    caption = f"Lesions found at the pixel threshold, by rule, of {note}"
    return PaperTable("lesions", caption, ("rule", "measure", *MEASURED), rows)


def _froc(summary: Mapping[str, Any], note: str) -> PaperTable:
    froc = summary["froc"]
    found = [] if froc is None else [(row["rate"], *measured(row)) for row in froc["sensitivity"]]
    mean = [] if froc is None else [("mean", *measured(froc["score"]))]
    caption = f"FROC: share of lesions touched at so many false positives per case, of {note}"
    return PaperTable("froc", caption, ("false positives", *MEASURED), [*found, *mean])


def _chosen(summary: Mapping[str, Any], run: str) -> PaperTable:
    chosen = summary["chosen_on_test_set"] or {}
    rows = [
        (name, chosen[key]["value"], chosen[key]["threshold"], chosen[key]["calibrated"])
        for key, name in CHOSEN.items()
        if key in chosen
    ]
    caption = (
        f"Best figures over all thresholds of {run}, chosen on the test set: upper bounds, without intervals. "
        "Calibrated: at the threshold from normal scans."
    )
    return PaperTable("chosen_on_test_set", caption, ("measure", "best", "threshold", "calibrated"), rows)


def _sizes(summary: Mapping[str, Any], note: str) -> PaperTable:
    bands = summary["size_bands"] if summary["counts"]["lesions"] else []
    rows = [
        (band["from"], band["to"], band["unit"], band["lesions"], band["found"], *measured(band["sensitivity"]))
        for band in bands
    ]
    caption = f"Lesions by size, touched by the map above the pixel threshold (value: share), of {note}"
    return PaperTable("lesion_sizes", caption, ("from", "to", "unit", "lesions", "found", *MEASURED), rows)


GROUP = ("cases", "normal patients", "abnormal patients", "lesions", "lesions found", "level", "measure", *MEASURED)


def _classes(summary: Mapping[str, Any], note: str) -> PaperTable:
    caption = f"Abnormal cases of each class against all normal ones, of {note}"
    return PaperTable("classes", caption, ("class", *GROUP), _groups(summary["classes"]))


def _strata(summary: Mapping[str, Any], note: str) -> PaperTable:
    rows = [(column, *row) for column, found in summary["strata"].items() for row in _groups(found["groups"])]
    return PaperTable("strata", f"Groups of cases of {note}", ("column", "group", *GROUP), rows)


def _groups(groups: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """A row for each figure of each group; one without figures for a group that is only counted."""
    rows = []
    for group in groups:
        counts = ("cases", "normal_patients", "abnormal_patients", "lesions", "lesions_found")
        known = (group["name"], *(group[key] for key in counts))
        rows += [
            (*known, level, measure_name(name), *measured(value))
            for level, values in group["metrics"].items()
            for name, value in values.items()
        ]
        rows += [
            (*known, level, "abnormal above threshold", *measured(row["sensitivity"]))
            for level, row in group["threshold"].items()
        ]
        if not group["metrics"]:
            rows.append((*known, None, None, None, None, None, group["smaller_class"], "counted, without figures"))
    return rows


def _differences(summary: Mapping[str, Any], note: str) -> PaperTable:
    rows = [
        (column, row["level"], row["first"], row["second"], *measured(row), row["p"], row["p_holm"])
        for column, found in summary["strata"].items()
        for row in found["differences"]
    ]
    caption = (
        f"Differences in AUROC between groups, first minus second, with p before and after Holm's correction, {note}"
    )
    return PaperTable("differences", caption, ("column", "level", "first", "second", *MEASURED, "p", "p, Holm"), rows)


def _shortcuts(summary: Mapping[str, Any], note: str) -> PaperTable:
    rows = []
    for row in summary["shortcuts"]:
        lead = row["difference"]
        own = (row["level"], FEATURES.get(row["feature"], row["feature"]), *measured(row["interval"]))
        rows.append(
            (*own, row["separability"], lead["value"], lead["low"], lead["high"], lead["p"], bool(row["rivals"]))
        )
    header = ("level", "feature", *MEASURED, "separability", "lead", "lead low", "lead high", "p", "rivals")
    caption = f"AUROC of simple features (value), or 1 - AUROC if larger (separability), and the model's lead, {note}"
    return PaperTable("shortcuts", caption, header, rows)


def _reconstruction(summary: Mapping[str, Any], run: str) -> PaperTable:
    found = reconstruction_rows(summary)
    rows = [row[:-1] for row in found] if any(row.value is not None for row in found) else []
    header = ("figure", "value", "meaning", "warns if")
    return PaperTable("reconstruction", f"Whether the reconstruction follows its input, {run}.", header, rows)


def _maps(summary: Mapping[str, Any], run: str) -> PaperTable:
    names = ("average_precision", "auroc", "aupro")
    rows: list[tuple[Any, ...]] = [
        (MAPS.get(name, name), *(values[key] for key in names), name in summary["maps_rivals"])
        for name, values in summary["maps"].items()
    ]
    if rows:
        pixel = summary["metrics"]["pixel"]
        rows.insert(0, (MAPS["anomaly_map"], *(pixel[key]["value"] for key in names), None))
    header = ("map", *(measure_name(name) for name in names), "rivals")
    return PaperTable("maps", f"Maps of {run}, pixel by pixel, without intervals.", header, rows)
