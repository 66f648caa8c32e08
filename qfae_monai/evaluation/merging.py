"""Several runs as one: folds over all cases, and seeds with their mean and standard deviation."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from qfae_monai.evaluation.case_columns import LESION_COLUMNS, SLICE_COLUMNS, VOLUME_COLUMNS, Table, write_table
from qfae_monai.evaluation.evaluation_report import without_nan
from qfae_monai.evaluation.histogram import MapHistogram
from qfae_monai.evaluation.histogram_file import PixelHistograms
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.truth_table import Truth
from qfae_monai.evaluation.variation import FILE as VARIATION_FILE
from qfae_monai.evaluation.variation import merge_variations, read_variation
from qfae_monai.files import reading_as, write_json

# Run folders of several folds become one: every patient is tested once, each by a model that never saw them.

TABLES = {"slices": SLICE_COLUMNS, "volumes": VOLUME_COLUMNS, "lesions": LESION_COLUMNS}


def merge_runs(folders: Sequence[str | os.PathLike], output: str | os.PathLike, *, name: str) -> Path:
    """Write the tables, histograms and `run.json` of one run that tested the cases of all; `summarise` does the rest.

    Scores are pooled as they are: folds whose models differ in scale cost the merged ranking something. A calibration
    is of one model, so the merged run has none.

    Args:
        folders: output folders of evaluations, each of other patients.
        output: folder to make.
        name: what the merged run is called in reports.

    Returns:
        The folder.

    Raises:
        ValueError: without folders, for a patient who is in two of them, or runs of different kinds or settings.
    """
    runs = [RunFolder(folder) for folder in folders]
    if not runs:
        raise ValueError("expected at least one run folder, got none")
    _check(runs)
    output = Path(output)
    for table, columns in TABLES.items():
        write_table(output / f"{table}.csv", columns, [row for run in runs for row in _rows(getattr(run, table))])
    truth = _merge_truth(runs)
    write_table(
        output / "truth.csv", truth.columns, truth.rows({k: v for run in runs for k, v in run.patient_of.items()})
    )
    _merge_pixels(runs).save(output / "pixels.npz")
    if (variation := merge_variations([read_variation(run.path) for run in runs])) is not None:
        write_json(output / VARIATION_FILE, variation)
    write_json(output / "run.json", _describe(runs, name))
    return output


def _check(runs: Sequence[RunFolder]) -> None:
    """Slices of one patient in two folds would be tested twice, or trained on and tested."""
    # counted once a run, however many cases they have
    patients = Counter(patient for run in runs for patient in set(run.patient_of.values()))
    cases = Counter(case for run in runs for case in run.patient_of)
    for what, counts in (("patient", patients), ("case", cases)):
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(
                f"expected each {what} in one fold, got {', '.join(twice[:5])} in several of "
                f"{', '.join(str(run.path) for run in runs)}"
            )
    for key in ("kind", "configuration"):
        for run in runs[1:]:
            if run.run[key] != runs[0].run[key]:
                raise ValueError(
                    f"expected runs of one {key}, got {runs[0].run[key]} in {runs[0].path} and "
                    f"{run.run[key]} in {run.path}"
                )


def _rows(table: Table) -> list[dict[str, Any]]:
    """A table as `write_table` takes it."""
    cells = zip(*(column.tolist() for column in table.columns.values()), strict=True)
    return [dict(zip(table.columns, row, strict=True)) for row in cells]


def _merge_pixels(runs: Sequence[RunFolder]) -> PixelHistograms:
    """A map is kept where every run that has masks made it."""
    found = [run.pixels for run in runs if run.pixels.maps]
    # part of the cases would pass for all
    names = [name for name in found[0].maps if all(name in one.maps for one in found)] if found else []
    return PixelHistograms(
        {name: MapHistogram.merge([one.maps[name] for one in found]) for name in names},
        {case: histogram for one in found for case, histogram in one.cases.items()},
        {case: histogram for one in found for case, histogram in one.neighbour_cases.items()},
        {case: peaks for one in found for case, peaks in one.peaks.items()},
    )


def _merge_truth(runs: Sequence[RunFolder]) -> Truth:
    """A stratum is kept where one run has it; cases of the others are without a value."""
    found = [run.truth for run in runs]
    columns = dict.fromkeys(name for one in found for name in one.strata)
    return Truth(
        {case: value for one in found for case, value in one.classes.items()},
        {case: value for one in found for case, value in one.contradictions.items()},
        {name: {case: value for one in found for case, value in one.strata.get(name, {}).items()} for name in columns},
    )


def _describe(runs: Sequence[RunFolder], name: str) -> dict[str, Any]:
    parts: list[Mapping[str, Any]] = [run.run for run in runs]
    return {
        **parts[0],
        "name": name,
        "checkpoint": {
            "file": f"{len(parts)} checkpoints, one per fold",
            "sha256": _joined(part["checkpoint"]["sha256"] for part in parts),
        },
        "data": {
            "datalist": ", ".join(dict.fromkeys(str(part["data"]["datalist"]) for part in parts)),
            "sha256": _joined(part["data"]["sha256"] for part in parts),
            "cases": sum(part["data"]["cases"] for part in parts),
            "patients": sum(part["data"]["patients"] for part in parts),
            "left_aside": _added(part["data"].get("left_aside", {}) for part in parts),
        },
        "folds": len(parts),
        "duplicates": _duplicates([part.get("duplicates") for part in parts]),
        "seconds": round(sum(part["seconds"] for part in parts), 2),
        "slices": {key: sum(part["slices"][key] for part in parts) for key in parts[0]["slices"]},
        "training": _training([part.get("training") for part in parts]),
        "calibration": None,
        "published": None,
    }


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter[str]()))


def _duplicates(found: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """What was found in every fold; None if one did not look."""
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    return {
        "warnings": list(dict.fromkeys(sentence for one in known for sentence in one["warnings"])),
        "pairs": [pair for one in known for pair in one["pairs"]],
        "sections": _added(one.get("sections", {}) for one in known),
        "shared_patients": sum(one.get("shared_patients", 0) for one in known),
    }


def _training(records: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """The first fold's record with the warnings of all; None if a fold has none."""
    known = [record for record in records if record is not None]
    if len(known) < len(records):
        return None
    return {**known[0], "warnings": list(dict.fromkeys(one for record in known for one in record["warnings"]))}


def _joined(sums: Any) -> str:
    return sha256(" ".join(sums).encode()).hexdigest()


# Mean and standard deviation over trainings with different seeds, as tables of papers state them.


def across_seeds(folders: Sequence[str | os.PathLike]) -> dict[str, dict[str, Any]]:
    """Every measure over several runs: one test set, one training each.

    The spread says how much the training's chance matters; an interval of one run says how much the choice of patients
    does. Neither contains the other.

    Args:
        folders: output folders of evaluations, with their `evaluation.json`.

    Returns:
        `{"slice.auroc": {"mean", "std", "values"}, ...}`; std is the sample's (n - 1), None for a single run; mean and
        std are None where a run's value is.

    Raises:
        ValueError: without folders, for different test sets, or the same checkpoint twice.
    """
    runs = [RunFolder(folder) for folder in folders]
    if not runs:
        raise ValueError("expected at least one run, got none")
    data = {run.run["data"]["sha256"] for run in runs}
    if len(data) > 1:  # another test set varies the figure, too
        raise ValueError(f"expected runs on one test set, got {len(data)}: {', '.join(str(run.path) for run in runs)}")
    checkpoints = [run.run["checkpoint"]["sha256"] for run in runs]
    for number, checkpoint in enumerate(checkpoints):
        first = checkpoints.index(checkpoint)
        if first < number:  # a run counted twice would shrink the spread
            raise ValueError(
                f"expected a checkpoint for each run, got one in {runs[first].path} and {runs[number].path}"
            )
    found: dict[str, list[float]] = {}
    for run in runs:
        with reading_as("the figures of an evaluation", run.path / "evaluation.json"):
            for level, measures in run.evaluation["metrics"].items():
                for name, interval in measures.items():
                    value = interval["value"]
                    found.setdefault(f"{level}.{name}", []).append(np.nan if value is None else float(value))
    return {
        name: without_nan(
            {
                "mean": np.mean(values),
                "std": np.std(values, ddof=1) if len(values) > 1 else None,  # n - 1: the trainings are a sample
                "values": values,
            }
        )
        for name, values in found.items()
    }
