"""Names that come with data: which ones may become part of a path."""

from __future__ import annotations

from typing import Any

import pytest

from qfae_monai.files.tables import check_file_name, is_file_name

GOOD = [
    "a",
    "patient 7",
    "p.1",
    "Müller",
    "患者",
    ".hidden",
    "a..b",
    "-",
    "x" * 200,
    "console",
    "com",
    "aux1",
    "T1 10:30",
    "a ",
    " a",
    "a.",
    "a*",
    'a"b',
    "<a>",
]
BAD = [
    "",
    " ",
    ".",
    "..",
    "...",
    ". .",
    "/",
    "a/b",
    "/etc/passwd",
    "../x",
    "..\\x",
    "a\\b",
    "C:\\x",
    "C:x",
    "\\\\host\\x",
    "a\0",
    "a\nb",
    "a\x1b[2J",
    "a\x85",
    "a\u2028b",
    "\ud800",
    "con",
    "NUL",
    "nul.nii.gz",
    "Com1",
    "lpt9.txt",
    "COM²",
    "aux .x",
    "CONIN$",
    "x" * 201,
    "ä" * 101,
]


@pytest.mark.parametrize("text", GOOD)
def test_a_name_passes_as_it_is(text: str) -> None:
    assert is_file_name(text)
    assert check_file_name(text, "list.json, entry 1, case") == text


@pytest.mark.parametrize("text", BAD)
def test_what_leads_out_of_a_folder_or_names_none_is_refused(text: str) -> None:
    assert not is_file_name(text)
    with pytest.raises(ValueError, match=r"^list\.json, entry 1, case: expected a name .*, got '.*$") as refused:
        check_file_name(text, "list.json, entry 1, case")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], {"a": 1}])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a name"):
        check_file_name(value, "case")


def test_a_number_is_a_name() -> None:
    assert check_file_name(7, "case") == "7"
