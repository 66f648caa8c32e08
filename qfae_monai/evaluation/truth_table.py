"""`truth.csv` of a run folder: what the data list says of each case beside its label, which figures are grouped by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qfae_monai.data.columns import CLASS, COLUMNS, column_text
from qfae_monai.files.reading import read_rows

TRUTH_COLUMNS = ("case", "patient", CLASS, "contradiction")
"""One row per case; the strata that were asked for stand behind. contradiction: of label and mask, in words."""

Values = Mapping[str, str]
"""Case -> text, "" where unknown."""


@dataclass(frozen=True)
class Truth:
    """Texts of each case; a run of an earlier version has none.

    Attributes:
        classes: what is abnormal.
        contradictions: of label and mask.
        strata: column -> its values.
    """

    classes: Values = field(default_factory=dict)
    contradictions: Values = field(default_factory=dict)
    strata: Mapping[str, Values] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of its table."""
        return (*TRUTH_COLUMNS, *self.strata)

    def rows(self, patient_of: Mapping[str, str]) -> list[dict[str, Any]]:
        """Its table, a row for each case of `patient_of`."""
        named = {CLASS: self.classes, "contradiction": self.contradictions, **self.strata}
        return [
            {"case": case, "patient": patient, **{name: values.get(case, "") for name, values in named.items()}}
            for case, patient in patient_of.items()
        ]


def truth_row(found: Mapping[str, Any], strata: Sequence[str]) -> dict[str, str]:
    """Cells of a case behind `case` and `patient`.

    Args:
        found: batch item and output of the case, together; its columns set apart.
        strata: columns of the data list to keep.

    Raises:
        ValueError: for a value that is no text or number, naming the case.
    """
    columns = found.get(COLUMNS) or {}
    values = {CLASS: found.get(CLASS), **{name: columns.get(name) for name in strata}}
    texts = {name: column_text(value, f"case {found['case']}, {name}") for name, value in values.items()}
    return {**texts, "contradiction": str(found.get("contradiction") or "")}


def read_truth(path: Path) -> Truth:
    """Read the table; an empty one where there is no file, as runs of earlier versions have none.

    Raises:
        ValueError: naming the file, for a missing column.
    """
    if not path.is_file():
        return Truth()
    rows = read_rows(path, TRUTH_COLUMNS)
    names = [name for name in (rows[0] if rows else {}) if name not in TRUTH_COLUMNS]
    columns = {name: {row["case"]: row[name] for row in rows} for name in (CLASS, "contradiction", *names)}
    return Truth(columns.pop(CLASS), columns.pop("contradiction"), columns)
