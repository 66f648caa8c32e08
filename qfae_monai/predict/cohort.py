"""All studies of a cohort: each is done, kept from an earlier run, or reported; none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qfae_monai.files import write_csv, write_json
from qfae_monai.predict.model import Model
from qfae_monai.predict.outcome import COLUMNS, Outcome
from qfae_monai.predict.pipeline import Pipeline
from qfae_monai.predict.result import SUMMARY
from qfae_monai.predict.studies import Study
from qfae_monai.predict.study_steps import StudySteps
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading.left_aside import LeftAside, counted_kinds
from qfae_monai.reading.quiet_libraries import quiet_libraries

if TYPE_CHECKING:
    from qfae_monai.predict.dicom_results import DicomResults


def predict_studies(
    studies: Sequence[Study],
    model: Model,
    output: Path,
    done: Callable[[Study, Outcome], None],
    *,
    workers: int = 1,
    allow: Collection[str] = (),
    dicom: DicomResults | None = None,
    progress: Callable[[Study, int, int], None] = lambda study, slices, total: None,
) -> None:
    """Score studies and write a folder for each, unless a complete one of the same input and model is there.

    Args:
        studies: what to read.
        model: what scores them.
        output: folder that holds a folder for each study.
        done: called with each study and what became of it, in their order.
        workers: threads that read the next studies and write the last ones beside the network, at least 1.
        allow: risks that may pass.
        dicom: what writes the DICOM objects of a DICOM series; None where none are wanted.
        progress: called with a study, its slices done and its slices in all.
    """
    steps = StudySteps(model, output, allow=allow, dicom=dicom, progress=progress)
    left = iter(studies)
    pipeline: Pipeline[Study, Any, Any, Outcome] = Pipeline(
        steps.read, steps.score, steps.write, crowded=lambda outcome: outcome.short_of_memory, workers=workers
    )
    with quiet_libraries():  # once for all threads: what is silenced is the process's
        pipeline.run(studies, lambda outcome: done(next(left), outcome))


def write_summary(
    output: Path,
    outcomes: Iterable[Outcome],
    model: Model,
    pseudonyms: Pseudonyms | None = None,
    aside: Iterable[LeftAside] = (),
) -> dict[str, int]:
    """`summary.json` and `summary.csv`; returns how many studies there are of each status.

    Args:
        output: folder of the results.
        outcomes: of all studies.
        model: what scored them.
        pseudonyms: what they are named by; None where by their own names.
        aside: what of the input was no study; files are counted, not named.
    """
    rows = [{column: getattr(outcome, column) for column in COLUMNS} for outcome in outcomes]
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "kept", "failed")}
    content = {"version": 1, "model": model.identity, "settings": model.settings, "counts": counts, "studies": rows}
    content["left_aside"] = counted_kinds(aside)
    content["pseudonyms"] = None if pseudonyms is None else pseudonyms.fingerprint
    write_json(output / SUMMARY, content)
    table = [list({**row, "warnings": "; ".join(row["warnings"])}.values()) for row in rows]
    write_csv(output / "summary.csv", COLUMNS, table)
    return counts
