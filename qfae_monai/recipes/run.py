"""A recipe from start to end: find, survey, plan, cut in parallel, and write manifest, data list and QC page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qfae_monai.data.patients import NamedScan, told_apart, warnings_on
from qfae_monai.files import write_whole
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading.dicom_header import kept_headers
from qfae_monai.reading.quiet_libraries import quiet_libraries
from qfae_monai.recipes.qc_page import qc_page
from qfae_monai.recipes.records import (
    COLUMNS,
    REFUSED_COLUMNS,
    begin,
    datalist_text,
    remove_strays,
    remove_unfinished,
    table_text,
)
from qfae_monai.recipes.source import SPLITS, Recipe, Source
from qfae_monai.recipes.tasks import run_tasks
from qfae_monai.recipes.worker import SOFTWARE, Surveyor, Worker

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """Result of a run.

    Attributes:
        counts: (split, label) -> images; label 1 is abnormal, 0 normal.
        refused: file or folder of each refused source, and why. For the user's screen: it names the source.
        burned_in: series that say they have burned-in annotations, by pseudonym.
    """

    counts: dict[tuple[str, int], int]
    refused: list[tuple[str, str]]
    burned_in: list[str]

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some refused, 2 nothing done."""
        return 2 if not self.counts else int(bool(self.refused))  # as `qfae prepare` ends


def prepare(
    recipe: Recipe,
    folder: Path,
    output: Path,
    *,
    key: bytes,
    seed: int = 42,
    format: str = "png8",
    refuse_burned_in: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Turn a data set into slices; run it again after an interruption, and it goes on.

    Runs inside of `qfae_monai.recipes.tasks.task_backend`. Writes BMAD's folders, `manifest.csv`,
    `refused.csv`, `dataset.json`, `patients.txt` and `qc.html`; the same bytes whatever the number of workers
    or interruptions.

    Args:
        recipe: how the data set becomes slices.
        folder: the data set.
        output: folder of the outputs: new, empty, or begun by an earlier run with the same settings.
        key: of the pseudonyms.
        seed: of the splits.
        format: "png8", "png16" or "npy".
        refuse_burned_in: whether series that say they have burned-in annotations are refused.
        say: called with sentences on what is found, before anything is split.

    Raises:
        FileNotFoundError: when the folder does not hold the data set.
        ValueError: when the recipe does not offer the format, or the output folder is another run's.
    """
    if format not in recipe.formats:
        raise ValueError(f"expected a format of {recipe.name}, {', '.join(recipe.formats)}, got {format!r}")
    names = Pseudonyms(key)
    with kept_headers(), quiet_libraries():
        found = recipe.find(folder)
        recipe, taken = recipe.settled(found)
    settings = {
        "recipe": recipe.name,
        "parameters": recipe.parameters(names),
        "seed": seed,
        "format": format,
        "refuse_burned_in": refuse_burned_in,
        "key": names.fingerprint,  # tells another key, and nothing of this one
        "software": SOFTWARE,
    }
    worker = Worker(recipe, output, format, key, refuse_burned_in)
    with kept_headers(), quiet_libraries():
        begin(output, settings)
        told = [*_told(found), *taken]
        write_whole(output / "patients.txt", "\n".join(told) + "\n")
        for sentence in told:
            say(sentence)
        planned = _plan(recipe, found, seed)
        try:
            results = list(run_tasks(worker, planned, description=recipe.name))
        except BaseException:  # workers are gone, maybe in the midst of a file
            remove_unfinished(output)
            raise
    # workers finish in any order: the files must not
    records = sorted((record for record, _ in results), key=lambda r: (r["patient"], r["series"]))
    reasons = {(record["patient"], record["series"]): reason for record, reason in results if reason}
    rows = sorted((row for record in records for row in record["rows"]), key=lambda row: str(row["output"]))
    refused = [record for record in records if record["reason"]]
    outputs = {name for record in records for name in record["sizes"]}
    # of an earlier run whose sources have gone or are refused now
    remove_strays(output, outputs, [(r["patient"], r["series"]) for r in records if not r["reason"]])
    write_whole(output / "manifest.csv", table_text(rows, COLUMNS))
    write_whole(output / "refused.csv", table_text([_refused_row(r) for r in refused], REFUSED_COLUMNS))
    write_whole(output / "dataset.json", datalist_text(rows, recipe.title, f"seed {seed}, {format}, {SOFTWARE}"))
    write_whole(output / "qc.html", qc_page(output, rows, records, settings, told))
    return Prepared(
        counts={
            (split, label): count
            for split in SPLITS
            for label, count in sorted(Counter(row["label"] for row in rows if row["split"] == split).items())
        },
        refused=[
            (source.image[0], reasons[identity])
            for source in planned
            if (identity := (names.patient(source.patient), names.series(source.patient, source.name))) in reasons
        ],
        burned_in=sorted({r["series"] for r in records if r["burned_in_annotation"] == "yes"}),
    )


def _told(sources: Sequence[Source]) -> list[str]:
    """Sentence on the rule that told patients apart, and warnings that doubt it; names no patient."""
    scans = [NamedScan(Path(one.image[0]), "volume", one.name, one.patient, one.told_by) for one in sources]
    return [told_apart(scans), *(f"warning: {warning}" for warning in warnings_on(scans))]


def _plan(recipe: Recipe, found: list[Source], seed: int) -> list[Source]:
    """Planned sources, and those that are refused before that."""
    names = Counter((source.patient, source.name) for source in found)
    # two of one name would write over each other
    if twice := [name for (_, name), count in names.items() if count > 1]:
        raise ValueError(f"expected each series once, got {len(twice)} again: {', '.join(twice[:5])}")
    refused = [source for source in found if source.refusal]
    usable = [source for source in found if not source.refusal]
    surveys: list[Any] = []
    if recipe.surveyed:  # only then are masks read before the split
        tasks = list(enumerate(usable))
        results = sorted(run_tasks(Surveyor(recipe), tasks, description=f"{recipe.name}: masks"), key=lambda r: r[0])
        refused += [replace(usable[number], refusal=reason) for number, _, reason in results if reason]
        surveys = [survey for _, survey, reason in results if not reason]
        usable = [usable[number] for number, _, reason in results if not reason]
    return [*recipe.plan(usable, surveys, seed), *sorted(refused, key=lambda s: (s.patient, s.name))]


def _refused_row(record: dict[str, Any]) -> dict[str, Any]:
    return {column: record[column] for column in REFUSED_COLUMNS}
