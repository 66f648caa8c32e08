"""What a name may say to a terminal: nothing."""

from __future__ import annotations

import logging
import unicodedata
import warnings

import pytest

from qfae_monai.files import printable
from qfae_monai.screen import PrintableFormatter, echo, echo_error, guard_messages

HOSTILE = {
    "clear the screen": "\x1b[2J",
    "title": "\x1b]0;x\x07",
    "link": "\x1b]8;;http://x\x1b\\",
    "CSI of C1": "\x9b2J",
    "OSC of C1": "\x9d0;x\x9c",
    "bell": "\x07",
    "backspace": "\x08",
    "return": "a\rb",
    "line": "a\nfailed  b",
    "tab": "\t",
    "right to left": "\u202egnp.nii",
    "isolate": "\u2066a",
    "mark": "\u200f",
    "line separator": "\u2028",
    "paragraph": "\u2029",
    "next line": "\x85",
    "delete": "\x7f",
    "zero width": "a\u200bb",
    "byte of no name": "\udcff",
    "tag": "\U000e0041",
    "nothing": "\x00",
    "byte order": "\ufeff",
}
ORDINARY = ("head 1", "Müller", "山田\u3000太郎", "é", "שלום", "ไทย", "-1.5 mm³", "a\\x1bb")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_a_terminal_would_obey_is_shown(text: str) -> None:
    shown = printable(f"before{text}after")
    assert shown.startswith("before")
    assert shown.endswith("after")
    assert "\\" in shown
    assert all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in shown)
    shown.encode()
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ORDINARY)
def test_names_of_all_scripts_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_no_character_at_all_is_obeyed() -> None:
    for start in range(0, 0x110000, 0x1000):
        shown = printable("".join(map(chr, range(start, start + 0x1000))))
        assert not [letter for letter in shown if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_lines_of_ones_own_stay(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\n\x1b[2Jb", lines=True)
    echo("a\nb")
    echo_error(ValueError("x\n\x1b[31m y\r"))
    captured = capsys.readouterr()
    assert captured.out == "a\n\\x1b[2Jb\na\\nb\n"
    assert captured.err == "error: x \\x1b[31m y\n"


def test_logs_and_warnings_quote_names_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("a", logging.WARNING, "a.py", 1, "%s: refused", ("x\x1b[2J\ny",), None)
    assert PrintableFormatter().format(record) == "x\\x1b[2J\\ny: refused"
    before = warnings.formatwarning
    handler = logging.StreamHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    try:
        guard_messages()
        assert warnings.formatwarning("x\x1b[2J", UserWarning, "a.py", 1) == "UserWarning: x\\x1b[2J\n"
        assert handler.format(record) == "WARNING x\\x1b[2J\\ny: refused"
    finally:
        warnings.formatwarning = before
        root.removeHandler(handler)


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise RuntimeError("\x1b[2J")
    except RuntimeError as error:
        trace = (RuntimeError, error, error.__traceback__)
    text = PrintableFormatter().format(logging.LogRecord("a", logging.ERROR, "a.py", 1, "failed", (), trace))
    assert "\x1b" not in text
    assert text.startswith("failed\nTraceback")
