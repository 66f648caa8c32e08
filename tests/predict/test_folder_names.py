"""Result folders collide with nothing, whatever a file is called."""

from __future__ import annotations

import os

import pytest

from qfae_monai.predict.studies import folder_name, told_apart

OURS = (
    "summary.json",
    "summary.csv",
    "report.html",
    "report",
    "Summary.JSON",
    "out.key",
    ".lock",
    "x.lock",
    "a.unfinished",
)
ODD = (
    "",
    ".",
    "..",
    " . ",
    "aux",
    "NUL.txt",
    "com1",
    "a.",
    "a ",
    "a/b",
    "a:b",
    "a\x1b[31m",
    "a\nb",
    "x" * 400,
    "\u00e9" * 200,
    os.fsdecode(b"M\xfcller"),
)


@pytest.mark.parametrize("text", [*OURS, *ODD])
def test_a_name_is_a_plain_folder_of_its_own(text: str) -> None:
    name = folder_name(text)
    assert name.casefold() not in {own.casefold() for own in OURS}
    assert name == name.strip(". ")
    assert 0 < len(name.encode()) <= 200
    assert name.isprintable()
    assert not set(name) & set('<>:"/\\|?*')
    assert name.split(".")[0].casefold() not in ("aux", "nul", "com1")


def test_names_that_differ_in_case_or_composition_are_told_apart() -> None:
    names = told_apart(map(folder_name, ["A", "a", "a-2", "e\u0301", "\u00e9"]))
    assert len({name.casefold() for name in names}) == 5
