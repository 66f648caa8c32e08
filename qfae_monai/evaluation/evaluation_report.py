"""The end of an evaluation: intervals, alarms and the page, made from the run folder by the one process that writes."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from ignite.engine import Engine, Events
from monai.data import MetaTensor

from qfae_monai.evaluation.at_threshold import size_bands, thresholds
from qfae_monai.evaluation.cautions import cautions, map_measures, pixel_ties, shortcuts, training_cautions
from qfae_monai.evaluation.duplicates import duplicate_cautions, without_duplicates
from qfae_monai.evaluation.engine_output import plain
from qfae_monai.evaluation.groups import by_class, by_stratum
from qfae_monai.evaluation.intervals import LEVEL, Interval
from qfae_monai.evaluation.lesion_figures import chosen_on_test_set, froc_figures
from qfae_monai.evaluation.lesions import match_by_position
from qfae_monai.evaluation.levels import Level, Pixels, levels_of
from qfae_monai.evaluation.page import write_report
from qfae_monai.evaluation.paper import checklist, methods, run_tables, write_tables
from qfae_monai.evaluation.pictures import save_pictures
from qfae_monai.evaluation.reconstruction import reconstruction_figures
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.truth_cautions import truth_cautions
from qfae_monai.files import write_json
from qfae_monai.training.processes import is_writer

# From the tables of a run to `evaluation.json`: figures with their intervals over patients, and what to beware of.

INTERVALS = {"level": LEVEL, "unit": "patient"}


def summarise(
    folder: str | os.PathLike,
    *,
    specificity: float = 0.95,
    match_tolerance: float | None = None,
) -> dict[str, Any]:
    """Compute every figure of a run folder and write `evaluation.json` and `tables/` into it, whole or not at all.

    What is undefined (one class only, no masks, one patient) is null, and a sentence in `warnings` says why. Cases
    without a label are counted and left out. Intervals are over patients, see `intervals.py`.

    Args:
        folder: the evaluation's output folder.
        specificity: at which sensitivity is stated.
        match_tolerance: largest difference of slice positions in [0, 1]; also state the slice figures with each
            abnormal slice held against one normal slice from its position. None for not.

    Returns:
        What was written.

    Raises:
        ValueError, FileNotFoundError: if the folder is not what it should be, naming file and line.
    """
    run = RunFolder(folder)
    levels = levels_of(run, specificity)
    metrics = {level.name: _plain(level.intervals()) for level in levels}
    metrics["pixel"] = _plain(Pixels.of(run).intervals())  # last, since pages list levels in this order
    maps, rivals = map_measures(run)
    threshold = thresholds(run, levels)
    summary: dict[str, Any] = {
        "kind": run.kind,
        "counts": _counts(run),
        "metrics": metrics,
        "matched": _matched(levels, match_tolerance),
        "threshold": threshold,
        "froc": froc_figures(run),
        "chosen_on_test_set": chosen_on_test_set(run, (threshold or {}).get("pixel")),
        "size_bands": size_bands(run, levels),
        "shortcuts": shortcuts(run, levels),
        "classes": by_class(run, levels),
        "strata": by_stratum(run, levels),
        "maps": maps,
        "maps_rivals": rivals,
        "pixel_ties": pixel_ties(run),
        "reconstruction": reconstruction_figures(run),
        "intervals": INTERVALS,
    }
    summary["duplicates"] = without_duplicates(run, levels)
    of_cases = truth_cautions(run, summary)  # they name cases and groups, which no model is to carry
    summary["warnings_on_cases"] = of_cases
    summary["warnings"] = [
        *training_cautions(run.run.get("training")),
        *duplicate_cautions(run, summary["duplicates"]),
        *cautions(summary, levels),
        *of_cases,
    ]
    summary = without_nan(summary)
    summary |= {"checklist": checklist(run, summary), "methods": methods(run.run, summary)}
    write_tables(run.path / "tables", run_tables(run.run, summary))
    write_json(run.path / "evaluation.json", summary, indent=2, allow_nan=False)
    return summary


def without_nan(value: Any) -> Any:
    """The same structure with null for NaN and plain numbers for numpy's: JSON knows neither."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if isinstance(value, np.generic):
        return without_nan(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: asdict(interval) for name, interval in intervals.items()}


def _counts(run: RunFolder) -> dict[str, int]:
    volumes, slices = run.volumes, run.slices
    return {
        "patients": len(set(volumes["patient"].tolist())),
        "cases": len(volumes),
        "normal_cases": int((volumes["label"] == 0).sum()),
        "abnormal_cases": int((volumes["label"] == 1).sum()),
        "unlabelled_cases": int(np.isnan(volumes["label"]).sum()),
        "cases_with_mask": int((volumes["mask"] == 1).sum()),
        "slices": len(slices),
        "normal_slices": int((slices["label"] == 0).sum()),
        "abnormal_slices": int((slices["label"] == 1).sum()),
        "empty": int(np.nansum(volumes["empty"])),  # slices without foreground
        "outside": int(np.nansum(volumes["outside"])),  # slices beyond the range that is scored
        "lesions": len(run.lesions),
    }


def _matched(levels: Sequence[Level], tolerance: float | None) -> dict[str, Any] | None:
    level = levels[0]
    if tolerance is None or level.name != "slice":  # images have no position to match
        return None
    found = match_by_position(level.rows["position"], level.labels, tolerance=tolerance)
    return {
        "tolerance": tolerance,
        "pairs": found.pairs,
        "unmatched": found.unmatched,
        "slice": _plain(level.where(found.rows).intervals()),
    }


logger = logging.getLogger(__name__)


class EvaluationReport:
    """Save pictures of each case as it comes, then `evaluation.json` and `report.html`.

    Attach it behind the handlers that write the tables.

    Args:
        output_dir: the run folder.
        axis: spatial axis along which volumes are sliced.
        save_pictures: whether the page shows slices.
        specificity: at which sensitivity is stated.
        match_tolerance: relative position within which a normal slice may match an abnormal one; None: no matching.
        map_limit: map value shown brightest, one for all cases; None takes the largest of each.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        *,
        axis: int = 2,
        save_pictures: bool = True,
        specificity: float = 0.95,
        match_tolerance: float | None = None,
        map_limit: float | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.axis = axis
        self.save_pictures = save_pictures
        self.specificity = specificity
        self.match_tolerance = match_tolerance
        self.map_limit = map_limit

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI evaluator whose batches and outputs are lists of dictionaries (decollated)."""
        if self.save_pictures:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._pictures)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _pictures(self, engine: Engine) -> None:
        for batch, output in zip(cast(list, engine.state.batch), cast(list, engine.state.output), strict=True):
            found: Mapping[str, Any] = {**batch, **output}
            image, reconstruction, anomaly_map = (
                plain(found[key])[0].numpy() for key in ("image", "reconstruction", "anomaly_map")
            )
            save_pictures(
                self.output_dir / "pictures",
                str(found["case"]),
                image,
                reconstruction,
                anomaly_map,
                None if found.get("label") is None else plain(found["label"])[0].numpy(),
                plain(found["slice_scores"]).reshape(-1).numpy(),
                axis=self.axis,
                map_limit=self.map_limit,
                spacing=_spacing(found["image"]),
            )

    def _write(self, engine: Engine) -> None:
        if not is_writer():  # the tables of all processes are merged by now
            return
        summarise(self.output_dir, specificity=self.specificity, match_tolerance=self.match_tolerance)
        logger.info("report: %s", write_report(self.output_dir))


def _spacing(image: Any) -> list[float] | None:
    """Of a volume's voxels, mm; None for images."""
    if not (isinstance(image, MetaTensor) and image.dim() == 4):  # (1, X, Y, Z)
        return None
    return np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0).tolist()  # lengths of the columns, mm per voxel
