"""Each kind of file meets what docs/reading.md says of it, alone and among all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.data.examination import Examination, examine
from tests.reading.kinds import ASIDE, KINDS, PICTURE, READ, REFUSED, Kind, make_all, table

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
MARK = "kinds"


def alone(tmp_path: Path, kind: Kind) -> Examination:
    """The kind beside a NIfTI, for there must be something to read."""
    kind.make(tmp_path / "in", kind.elements())
    KINDS[0].make(tmp_path / "beside", KINDS[0].elements() | {"PatientID": "beside", "SeriesInstanceUID": "1.2.3"})
    return examine(tmp_path)


def of_kind(found: Examination, kind: Kind) -> tuple[list[str], list[str], list[str]]:
    """Refusals, notes of what is read, and kinds of what is left aside, below the kind's folder."""
    below = [one for one in found.verdicts if any({"in", kind.folder} & set(f.parts) for f in one.summary.files)]
    refusals = [one.refusal for one in below if one.refusal is not None]
    notes = ["; ".join(one.notes) for one in below if one.refusal is None]
    return refusals, notes, [one.kind for one in found.aside if {"in", kind.folder} & set(one.path.parts)]


def check(found: Examination, kind: Kind) -> None:
    refusals, notes, aside = of_kind(found, kind)
    pictures = [one for one in found.pictures if {"in", kind.folder} & set(one.parts)]
    counts = (len(refusals), len(notes) + len(pictures))
    expected = {REFUSED: (kind.series, 0), READ: (0, kind.series), PICTURE: (0, kind.series), ASIDE: (0, 0)}
    assert counts == expected[kind.becomes], (refusals, notes, aside)
    said = {REFUSED: refusals, READ: notes, PICTURE: notes, ASIDE: aside}[kind.becomes]
    assert not kind.says or any(kind.says in " ".join(one.split()) for one in said), said
    assert kind.becomes != ASIDE or set(aside) == {kind.says}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.folder)
def test_each_kind_by_itself(tmp_path: Path, kind: Kind) -> None:
    check(alone(tmp_path, kind), kind)
    if kind.option:
        refusals, notes, _ = of_kind(examine(tmp_path, **kind.option), kind)
        assert (refusals, len(notes)) == ([], kind.series)


def test_all_kinds_in_one_folder(tmp_path: Path) -> None:
    make_all(tmp_path)
    found = examine(tmp_path)
    for kind in KINDS:
        check(found, kind)


def test_the_page_has_the_table() -> None:
    start, end = f"<!-- {MARK}: start -->\n", f"\n<!-- {MARK}: end -->"
    text = PAGE.read_text()
    assert text[text.index(start) + len(start) : text.index(end)] == table()
