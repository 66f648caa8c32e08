"""The table that chooses frozen networks: every combination beside nearest neighbours, trivial features, and leads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.evaluation.candidates import MEASURES, Candidate
from qfae_monai.evaluation.differences import paired_difference
from qfae_monai.evaluation.evaluation_report import INTERVALS, without_nan
from qfae_monai.evaluation.levels import FEATURES, MAPS, RIVALS
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.files import reading_as

RANDOM = "random"
TRIVIAL_MAPS = ("image", "mean_distance")
CHOSEN_BY = ("slice_auroc", "pixel_ap")  # measures that name a best combination


@dataclass(frozen=True)
class Evaluated:
    """One combination of frozen networks, trained and evaluated.

    name, encoder, perceptual: as they stand in the table. robust: name of the options, None without. in_house: whether
    one of its networks was trained in house. pooled: run folders with all folds' cases, one per seed. folds: run
    folders of each fold and seed.
    """

    name: str
    encoder: str
    perceptual: str
    robust: str | None
    in_house: bool
    pooled: Sequence[Path]
    folds: Sequence[Path]


def encoder_table(found: Sequence[Evaluated]) -> dict[str, Any]:
    """Figures of every combination, of nearest neighbours in each encoder's features and of trivial features.

    Args:
        found: at least one combination; all of the same test cases.

    Returns:
        `{"kind", "counts", "rows": [{"name", ..., measure: interval, "neighbours": {measure: interval}}], "features",
        "maps": {map: pixel AP}, "leads", "notes": [sentences], "intervals"}`, None for NaN. `features` are trivial ones
        as in `evaluation.json`; `leads` those of the best in-house combination by slice AUROC and of the best by pixel
        AP over seeded random networks and nearest neighbours.
    """
    with reading_as("evaluations that `qfae encoders compare` made", ", ".join(str(one.pooled[0]) for one in found)):
        return _table(found)


def _table(found: Sequence[Evaluated]) -> dict[str, Any]:
    runs = {one.name: [RunFolder(folder) for folder in one.pooled] for one in found}
    models = {name: Candidate.model(folders) for name, folders in runs.items()}
    # nearest neighbours know the encoder alone: one per encoder
    rivals = {one.encoder: Candidate.neighbours(runs[one.name]) for one in found}
    rows = [
        {
            "name": one.name,
            "encoder": one.encoder,
            "perceptual": one.perceptual,
            "robust": one.robust,
            "in_house": one.in_house,
            "seeds": len(one.pooled),
            "reports": [str(folder / "report.html") for folder in one.folds],
            **_intervals(models[one.name]),
            "slice_auroc_within_folds": _within_folds(one),
            "neighbours": _intervals(rivals[one.encoder]),
        }
        for one in found
    ]
    first = next(iter(runs.values()))[0]
    leads = _leads(found, models, rivals)
    table = {
        "kind": first.kind,
        "counts": first.evaluation["counts"],
        "rows": rows,
        "features": [one for one in first.evaluation["shortcuts"] if one["feature"] not in RIVALS],
        "maps": {name: first.evaluation["maps"].get(name, {}).get("average_precision") for name in TRIVIAL_MAPS},
        "leads": leads,
        "intervals": INTERVALS,
    }
    return without_nan({**table, "notes": _notes(table, first)})


def _intervals(candidate: Candidate) -> dict[str, Any]:
    return {name: asdict(candidate.figures[name].interval()) for name in MEASURES}


def _within_folds(one: Evaluated) -> float:
    """Mean over folds and seeds of each fold's own AUROC: pooling cannot disturb it."""
    metrics = [RunFolder(folder).evaluation["metrics"] for folder in one.folds]
    # null where a fold has one class
    values = [(found.get("slice") or found["image"])["auroc"]["value"] for found in metrics]
    return float(np.mean([np.nan if value is None else value for value in values]))


def _leads(
    found: Sequence[Evaluated], models: Mapping[str, Candidate], rivals: Mapping[str, Candidate]
) -> list[dict[str, Any]]:
    """The best in-house combination by slice AUROC, and the one by pixel AP, against what they have to beat."""
    chosen: dict[str, list[str]] = {}
    for measure in CHOSEN_BY:
        values = {one.name: models[one.name].figures[measure].value for one in found if one.in_house}
        # max() of NaN is whatever came first
        known = {name: value for name, value in values.items() if not math.isnan(value)}
        if known:
            chosen.setdefault(max(known, key=lambda name: known[name]), []).append(measure)
    encoder_of = {one.name: one.encoder for one in found}
    return [
        {
            "best": best,
            "chosen_by": chosen_by,
            "against": name,
            "measure": measure,
            "difference": asdict(paired_difference(rival.figures[measure], models[best].figures[measure])),
        }
        for best, chosen_by in chosen.items()
        for measure in CHOSEN_BY
        for name, rival in _opponents(found, models, rivals, encoder_of[best]).items()
    ]


def _opponents(
    found: Sequence[Evaluated], models: Mapping[str, Candidate], rivals: Mapping[str, Candidate], encoder: str
) -> dict[str, Candidate]:
    """Seeded random networks, and nearest neighbours in the features of this encoder and of the random one."""
    plain = [one.name for one in found if one.encoder == one.perceptual == RANDOM and one.robust is None]
    return {
        **{f"seeded random networks ({name})": models[name] for name in plain},
        **{f"nearest neighbours, {name} encoder": rivals[name] for name in (encoder, RANDOM) if name in rivals},
    }


def _notes(table: Mapping[str, Any], run: RunFolder) -> list[str]:
    counts, notes = table["counts"], []
    if counts["patients"] < 10:  # patients
        notes.append(f"The figures are of {counts['patients']} patients: so few stand for no population.")
    if table["leads"]:
        notes.append("The best combination is chosen on the cases that it is judged on, which flatters its lead.")
    if len(table["rows"][0]["reports"]) > table["rows"][0]["seeds"]:
        notes.append("Scores of several folds are pooled as they are; the mean of the folds' own AUROC stands beside.")
    if run.kind == "volume" and not (counts["normal_cases"] and counts["abnormal_cases"]):
        notes.append("Volume AUROC is undefined: all volumes are of one class.")
    best = max((row["slice_auroc"]["value"] for row in table["rows"]), default=math.nan)
    level = "image" if run.kind == "image" else "slice"
    best = max((row["slice_auroc"]["value"] for row in table["rows"]), default=math.nan)
    winners = [
        FEATURES[one["feature"]] for one in table["features"] if one["level"] == level and one["separability"] > best
    ]
    if winners:
        notes.append(f"One number of a {level} ranks better than every combination: {', '.join(winners)}.")
    best = max((row["pixel_ap"]["value"] for row in table["rows"]), default=math.nan)
    maps = [MAPS[name] for name, value in table["maps"].items() if value is not None and value > best]
    if maps:
        notes.append(f"A plain map has a higher pixel AP than every combination: {', '.join(maps)}.")
    return notes
