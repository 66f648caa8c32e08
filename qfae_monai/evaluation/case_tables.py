"""The tables and histograms of an evaluation or inference, of all ranks, in one folder: see docs/evaluation.md."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from ignite.engine import Engine, Events
from monai.utils import ensure_tuple

from qfae_monai.anomaly import Calibration
from qfae_monai.evaluation.case_columns import LESION_COLUMNS, SLICE_COLUMNS, VOLUME_COLUMNS, write_table
from qfae_monai.evaluation.case_record import CaseRecord, case_record
from qfae_monai.evaluation.histogram import MapHistogram
from qfae_monai.evaluation.histogram_file import PixelHistograms
from qfae_monai.evaluation.truth_table import TRUTH_COLUMNS
from qfae_monai.evaluation.variation import Variation
from qfae_monai.training.processes import gather, is_writer

logger = logging.getLogger(__name__)

MERGED_AT = 64  # records; what is pending between two merges is bounded


class CaseTables:
    """Write the tables, `pixels.npz` and `variation.json` when a run is complete; each whole or absent.

    Args:
        output_dir: folder, made if it is missing.
        axis: spatial axis along which volumes are sliced.
        calibration: for p-values; None leaves them empty.
        pixel_false_positive_rate: share of normal pixels that the pixel threshold lets pass; needs a calibration.
        strata: columns of the data list that figures are grouped by; None where nothing is known, and no `truth.csv`.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        *,
        axis: int = 2,
        calibration: Calibration | None = None,
        pixel_false_positive_rate: float = 0.01,
        strata: Sequence[str] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.axis = axis
        self.calibration = calibration
        self.pixel_threshold = None if calibration is None else calibration.pixel_threshold(pixel_false_positive_rate)
        self.strata = None if strata is None else tuple(dict.fromkeys(ensure_tuple(strata)))
        self._records: list[CaseRecord] = []
        self._maps: dict[str, list[MapHistogram]] = {}
        self._variation = Variation()

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI evaluator whose batches and outputs are lists of dictionaries (decollated)."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, engine: Engine) -> None:
        self._records, self._maps, self._variation = [], {}, Variation()

    def _collect(self, engine: Engine) -> None:
        for batch, output in zip(cast(list, engine.state.batch), cast(list, engine.state.output), strict=True):
            record = case_record(
                {**batch, **output},
                axis=self.axis,
                calibration=self.calibration,
                pixel_threshold=self.pixel_threshold,
                strata=self.strata or (),
            )
            for name, histogram in record.maps.items():
                pending = self._maps.setdefault(name, [])
                pending.append(histogram)
                if len(pending) == MERGED_AT:
                    self._maps[name] = [MapHistogram.merge(pending)]
            record.maps.clear()  # one histogram over all cases is enough of these
            self._variation.add({**batch, **output}, self.axis)
            self._records.append(record)
            self._announce(record)

    def _announce(self, record: CaseRecord) -> None:
        if self.calibration is not None and len(self.calibration.volume_scores):
            case, score, p_value = (record.volume[key] for key in ("case", "score", "p_value"))
            normals = len(self.calibration.volume_scores)
            logger.info(
                "%s: score %.4g, higher than %.1f %% of normal scans (p %.3g, %d normal volumes)",
                case,
                score,
                100 * (1 - p_value),
                p_value,
                normals,
            )

    def _write(self, engine: Engine) -> None:
        merged = {name: MapHistogram.merge(parts) for name, parts in self._maps.items()}
        gathered = gather((self._records, merged, self._variation))
        if not is_writer():
            return
        records = _once([record for part, _, _ in gathered for record in part])
        names = {name: None for _, maps, _ in gathered for name in maps}
        maps = {name: MapHistogram.merge([maps[name] for _, maps, _ in gathered if name in maps]) for name in names}
        cases = {r.volume["case"]: r.map_of_case for r in records if r.map_of_case is not None}
        self.output_dir.mkdir(parents=True, exist_ok=True)
        write_table(self.output_dir / "slices.csv", SLICE_COLUMNS, [row for r in records for row in r.slices])
        write_table(self.output_dir / "volumes.csv", VOLUME_COLUMNS, [r.volume for r in records])
        if self.strata is not None:
            columns = (*TRUTH_COLUMNS, *self.strata)
            write_table(self.output_dir / "truth.csv", columns, [r.truth for r in records])
        write_table(self.output_dir / "lesions.csv", LESION_COLUMNS, [row for r in records for row in r.lesions])
        neighbours = {r.volume["case"]: r.neighbours_of_case for r in records if r.neighbours_of_case is not None}
        peaks = {r.volume["case"]: r.false_peaks for r in records if r.false_peaks is not None}
        PixelHistograms(maps, cases, neighbours, peaks).save(self.output_dir / "pixels.npz")
        Variation.merge([part for _, _, part in gathered]).save(self.output_dir)


def _once(records: Iterable[CaseRecord]) -> list[CaseRecord]:
    """Refuse a case that came twice: a data list with repeated names, or a sampler that pads ranks with repeats."""
    found: dict[str, CaseRecord] = {}
    for record in records:
        case = record.volume["case"]
        if case in found:
            raise ValueError(f"case {case}: expected every case once, got it twice")
        found[case] = record
    return list(found.values())
