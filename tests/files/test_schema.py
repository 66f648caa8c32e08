"""What a file's values may be, and JSON that is no data: each refused in one sentence with file and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.files import parse_object, printable, read_object, read_rows, shown
from qfae_monai.files.reading import MOST_BYTES
from qfae_monai.files.schema import Check, choice, items, number, optional, record, text, truth, whole

REFUSED: list[tuple[Check, Any, str]] = [
    (whole(1, 9), True, "expected a whole number from 1 to 9, got True"),
    (whole(1, 9), 1.0, "got 1.0"),
    (whole(1, 9), "1", "got '1'"),
    (whole(1, 9), 10, "got 10"),
    (number(0, 1), False, "expected a finite number from 0 to 1, got False"),
    (number(), "$1", r"got '\$1'"),
    (number(0, 1), 1.5, "got 1.5"),
    (choice("l1", "l2"), " l1", "expected one of l1, l2, got ' l1'"),
    (choice("l1", "l2"), ["l1"], "got a list of 1"),
    (text(r"[a-z]+", "a name"), "a\n", "expected a name of at most 300 characters"),
    (text(longest=3), "abcd", "got 'abcd'"),
    (truth, 1, "expected true or false, got 1"),
    (optional(whole()), "null", "got 'null'"),
    (items(whole(), fewest=2), [1], "expected a list of 2 to"),
    (items(whole()), [1, "@x"], r"\[1\]: .* got '@x'"),
    (record({"a": whole()}), {"a": 1, "::a": 1}, "got also '::a'"),
    (record({"a": whole()}), {}, "missing a"),
    (record({"a": record({"b": whole()})}), {"a": {"b": "%x"}}, r"f\.json: .*a\.b: expected a whole number"),
]


@pytest.mark.parametrize(("check", "value", "message"), REFUSED)
def test_other_values_are_refused_by_key(check: Check, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_object(json.dumps({"k": value}), "f.json", record({"k": check}))


NO_DATA = [
    ("[" * 100_000, "of at most 32 levels, got a deeper one"),
    ('{"a":' * 100_000, "of at most 32 levels, got a deeper one"),
    ('{"a": ' + "[" * 40 + "]" * 40 + "}", "of at most 32 levels"),
    ('{"a": 1, "a": "$x"}', "the key 'a' twice"),
    ('{"a": NaN}', "NaN where a finite number belongs"),
    ('{"a": -Infinity}', "-Infinity where"),
    ('{"a": 1e999}', "1e999 where a finite number belongs"),
    ('{"a": ' + "9" * 5000 + "}", "a whole number of 5000 digits"),
    ('{"a": 9223372036854775808}', "a whole number of 19 digits"),
    ("", "Expecting value"),
    ("[1]", "got a list of 1"),
    (b"\xff\xfe{", "got a file that is not"),
]


@pytest.mark.parametrize(("content", "message"), NO_DATA)
def test_what_is_no_data_is_one_sentence(content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r"f\.json: expected a JSON object") as refused:
        parse_object(content, "f.json")
    assert message in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "f.json").open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=r"f\.json: expected a JSON object of at most 64 MB, got a larger file"):
        read_object(tmp_path / "f.json")
    with pytest.raises(FileNotFoundError, match="got no such file"):
        read_object(tmp_path)


TABLES = [
    (b"a,b\n1\n", "line 2: expected 2 cells, got 1"),
    (b"a,c\n1,2\n", "expected columns a, b; missing b"),
    (b"", "missing a, b"),
    (b"a,b\n\xff,1\n", "expected a table"),
    (b'a,b\n"' + b"x" * 200_000 + b'",1\n', "field larger than field limit"),
]


@pytest.mark.parametrize(("content", "message"), TABLES)
def test_a_bad_table_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_rows(tmp_path / "t.csv", ("a", "b"))


def test_cells_keep_their_line_ends_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b\n"x\ny",z\u2028z\n', newline="")
    assert read_rows(tmp_path / "t.csv", ("a", "b")) == [{"a": "x\ny", "b": "z\u2028z"}]


def test_nothing_that_is_shown_moves_the_cursor_or_hides() -> None:
    hostile = "\x1b]0;title\x07 \x9b31m \u202e \ud800 \r\n"
    assert printable(hostile).isprintable()
    assert shown(hostile).isprintable()
    assert printable("Größe 3 µm") == "Größe 3 µm"
