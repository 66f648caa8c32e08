"""`report.html` of a run folder: what was evaluated on what, how well, how surely, and every case to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from qfae_monai.evaluation.cases import Thresholds, choose_cases, view_case, worst_slices
from qfae_monai.evaluation.detection import RULES
from qfae_monai.evaluation.figures import (
    Ranking,
    froc_figure,
    precision_recall_figure,
    roc_figure,
    score_figure,
    size_figure,
)
from qfae_monai.evaluation.froc import Froc
from qfae_monai.evaluation.groups import FEW
from qfae_monai.evaluation.levels import FEATURES, MAPS, measure_name
from qfae_monai.evaluation.paper import STATES
from qfae_monai.evaluation.reconstruction_table import reconstruction_rows
from qfae_monai.evaluation.rendering import number, write_page
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.sprites import Picture, picture_limits

__all__ = ["write_report"]

# slice axis -> what lies on the left of a shown slice
SIDES = {0: "anterior", 1: "the patient's right", 2: "the patient's right"}
SECTIONS = (
    ("warnings", "Warnings"),
    ("results", "Results"),
    ("groups", "Class, stratum"),
    ("threshold", "Threshold"),
    ("curves", "Curves"),
    ("scores", "Scores"),
    ("detections", "Lesions found"),
    ("sizes", "Lesion sizes"),
    ("reconstruction", "Reconstruction"),
    ("shortcuts", "Shortcuts"),
    ("worst", "Misses, alarms"),
    ("cases-section", ""),
    ("checklist", "Checklist"),
    ("settings", "Settings, files"),
)


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder, from its tables, `evaluation.json` and pictures; whole or not at all.

    Raises:
        FileNotFoundError: if a file is missing, such as `evaluation.json`, which `summarise` makes.
        ValueError: if a file is not what it should be, naming file and line.
    """
    run = RunFolder(folder)
    evaluation, kind = run.evaluation, run.kind
    # not in evaluations of earlier versions
    classes, strata = evaluation.get("classes", []), evaluation.get("strata", {})
    reconstruction = reconstruction_rows(evaluation)
    threshold = evaluation["threshold"]
    thresholds = Thresholds(_threshold(threshold, "slice", "image"), _threshold(threshold, "volume", "image"))
    volumes, slices = run.volumes, run.slices
    pictures = {
        str(case): picture for case in volumes["case"] if (picture := Picture.of(folder / "pictures", str(case)))
    }
    views = [
        view_case(volumes, row, slices, pictures.get(str(volumes["case"][row])), thresholds)
        for row in choose_cases(volumes, kind)
    ]
    rankings = _rankings(run, kind, thresholds)
    areas = {
        measure: {level: values[measure]["value"] for level, values in evaluation["metrics"].items()}
        for measure in ("auroc", "average_precision")
    }
    bands = [(_band_name(band), band) for band in evaluation["size_bands"]]
    return write_page(
        folder / "report.html",
        "page.html.jinja",
        "report.js",
        run=run.run,
        configuration=json.dumps(run.run["configuration"], indent=2),
        evaluation=evaluation,
        kind=kind,
        counts=evaluation["counts"],
        sections=_sections(
            {"groups": classes or strata, "checklist": evaluation.get("checklist"), "reconstruction": reconstruction},
            kind,
        ),
        classes=classes,
        strata=strata,
        few=FEW,
        measure_name=measure_name,
        results=[
            (level, _measures(level, values, run.run["published"])) for level, values in evaluation["metrics"].items()
        ],
        matched=_measures("", evaluation["matched"]["slice"], None) if evaluation["matched"] else [],
        threshold=threshold,
        threshold_rows=[
            (level, threshold[level]) for level in ("slice", "volume", "image") if threshold and threshold.get(level)
        ],
        roc=roc_figure(rankings, areas["auroc"]),
        precision_recall=precision_recall_figure(rankings, areas["average_precision"]),
        histograms=[score_figure(ranking) for ranking in rankings if ranking.level != "pixel" and len(ranking.scores)],
        rules=RULES,
        froc=evaluation["froc"],
        froc_figure=_froc(run, evaluation["froc"]),
        chosen=evaluation["chosen_on_test_set"],
        bands=bands,
        sizes=size_figure([name for name, _ in bands], [band["sensitivity"] for _, band in bands]),
        reconstruction=reconstruction,
        shortcuts=_shortcuts(evaluation),
        maps=_maps(evaluation),
        checklist=evaluation.get("checklist", []),
        methods=evaluation.get("methods", ""),
        states=STATES,
        misses=worst_slices(slices, pictures, thresholds, missed=True),
        alarmed=worst_slices(slices, pictures, thresholds, missed=False),
        orientation=_orientation(volumes["slice_axis"]),
        cases=views,
        limits=picture_limits(list(pictures.values())),
        case_data=[
            {"captions": view.captions, "places": view.places, "tile": view.picture.tile if view.picture else 0}
            for view in views
        ],
    )


def _sections(optional: Mapping[str, Any], kind: str) -> list[tuple[str, str]]:
    """Anchor and name of each, of the optional ones those with content; cases are called by their kind."""
    return [(anchor, name or f"{kind}s".capitalize()) for anchor, name in SECTIONS if optional.get(anchor, True)]


def _threshold(threshold: Mapping[str, Any] | None, *levels: str) -> float | None:
    """The calibrated threshold of the first level that has one."""
    found = [threshold[level]["threshold"] for level in levels if threshold and threshold.get(level)]
    return found[0] if found else None


def _rankings(run: RunFolder, kind: str, thresholds: Thresholds) -> list[Ranking]:
    """Labelled scores of every level; pixels as the occupied bins of their histogram."""
    tables = {"slice": (run.slices, thresholds.slice), "volume": (run.volumes, thresholds.case)}
    if kind == "image":
        tables = {"image": tables["slice"]}
    rankings = []
    for level, (table, threshold) in tables.items():
        known = np.isfinite(table["label"]) & np.isfinite(table["score"])  # unlabelled and unscored rows rank nothing
        rankings.append(Ranking(level, table["score"][known], table["label"][known].astype(int), threshold=threshold))
    pixels = run.pixels.maps.get("anomaly_map")
    if pixels is not None:
        used = np.concatenate([pixels.bins[pixels.normal > 0], pixels.bins[pixels.lesion > 0]])
        counts = [pixels.normal[pixels.normal > 0], pixels.lesion[pixels.lesion > 0]]
        labels = np.repeat([0, 1], [len(part) for part in counts])  # a bin with both kinds of pixels stands twice
        rankings.append(Ranking("pixel", used, labels, np.concatenate(counts)))
    return rankings


def _froc(run: RunFolder, figures: Mapping[str, Any] | None) -> Markup:
    froc = None if figures is None or not figures["lesions"] else Froc.of(run)
    if froc is None or figures is None:
        return Markup("")
    alarms, found = (part.tolist() for part in froc.curve)
    return froc_figure(alarms, found, figures["sensitivity"], run.kind)


def _measures(level: str, values: Mapping[str, Any], published: Mapping[str, Any] | None) -> list[tuple[str, Any, str]]:
    """(name, interval, published figure) of each measure; the published AUROC is that of single images or slices."""
    rows = []
    for name, value in values.items():
        figure = ""
        if published and name == "auroc" and level in ("slice", "image") and published.get("image_auroc") is not None:
            figure = number(published["image_auroc"] / 100)  # percent in papers, [0, 1] here
            if published.get("std") is not None:  # over seeds
                figure += f" ± {published['std'] / 100:.4f}"
        rows.append((measure_name(name), value, figure))
    return rows


def _orientation(axes: NDArray) -> str:
    """Sentence on the orientation of the shown slices (see `save_pictures`); empty for images."""
    sides = {SIDES[int(axis)] for axis in axes[np.isfinite(axes)]}
    return f"Shown as radiologists see them: {' or '.join(sorted(sides))} on the left." if sides else ""


def _band_name(band: Mapping[str, Any]) -> str:
    unit = str(band["unit"]).replace("mm3", "mm³")  # ASCII in files, as printed on the page
    if band["to"] is None:
        return f"{band['from']:g} {unit} and more"
    return f"{band['from']:g} to {band['to']:g} {unit}" if band["from"] else f"below {band['to']:g} {unit}"


def _shortcuts(evaluation: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """For each level its features and, in the same order of separability, the model."""
    levels: dict[str, list[dict[str, Any]]] = {}
    for row in evaluation["shortcuts"]:
        named = {**row, "name": FEATURES.get(row["feature"], row["feature"]), "own": False}
        levels.setdefault(row["level"], []).append(named)
    for level, rows in levels.items():
        model = evaluation["metrics"][level]["auroc"]
        value = model["value"]
        rows.append(
            {
                "name": "the model",
                "own": True,
                "auroc": value,
                "interval": model,
                "difference": None,
                "rivals": False,
                "separability": None if value is None else max(value, 1 - value),
            }
        )
        rows.sort(key=lambda row: _or_least(row["separability"]), reverse=True)
    return list(levels.items())


def _maps(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The model's map and those it is compared with, highest average precision first."""
    model = {measure: value["value"] for measure, value in evaluation["metrics"]["pixel"].items()}
    found = {"anomaly_map": model, **evaluation["maps"]}
    rows = [
        {
            "name": MAPS.get(name, name),
            "own": name == "anomaly_map",
            "rivals": name in evaluation["maps_rivals"],
            **values,
        }
        for name, values in found.items()
    ]
    return sorted(rows, key=lambda row: _or_least(row["average_precision"]), reverse=True)


def _or_least(value: float | None) -> float:
    """For sorting: what is undefined comes last."""
    return -1.0 if value is None else value
