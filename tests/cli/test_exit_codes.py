"""Exit codes as the pages say, of commands that read data: check, compare, prepare, predict."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from preprocessing import volumes
from qfae_monai import cli
from qfae_monai.files import LOCK
from qfae_monai.predict import studies
from qfae_monai.recipes import run_tasks, task_backend
from tests.evaluation.run_folder_factory import make_run_folder
from tests.files.test_lock import another
from tests.preprocessing.phantoms import nifti, texture

ESCAPES = ("\x1b[2J", "\u202e", "\x9b", "\x07")


def code_of(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of `qfae`, in this process."""
    monkeypatch.setattr(sys, "argv", ["qfae", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A volume, and one that is damaged; their names would clear a screen and turn a line around."""
    nifti(tmp_path / "scans" / f"good{ESCAPES[0]}" / "a.nii.gz", texture((8, 8, 4), 0))
    (tmp_path / "scans" / f"bad{''.join(ESCAPES)}").mkdir()
    (tmp_path / "scans" / f"bad{''.join(ESCAPES)}" / "a\rb.nii.gz").write_bytes(b"no volume")
    return tmp_path / "scans"


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, after a check that no terminal obeys it."""
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert not [part for part in (*ESCAPES, "a\rb") if part in text]  # a progress bar has returns of its own
    return text


def test_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scans: Path, tmp_path: Path
) -> None:
    good = next(scans.glob("good*"))
    assert code_of(monkeypatch, "check", good) == 0
    assert code_of(monkeypatch, "check", scans) == 1
    assert code_of(monkeypatch, "check", tmp_path / f"nothing{ESCAPES[0]}") == 1
    assert code_of(monkeypatch, "check") == 2
    text = shown(capsys)
    assert r"bad\x1b[2J\u202e\x9b\x07/a\rb.nii.gz" in text
    assert r"nothing\x1b[2J" in text


def test_compare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    runs = [make_run_folder(tmp_path / f"{number}{ESCAPES[0]}", model=number) for number in range(2)]
    assert code_of(monkeypatch, "compare", *runs, "-o", tmp_path / f"out{ESCAPES[1]}") == 0
    assert code_of(monkeypatch, "compare", runs[0], tmp_path / "nothing\x07") == 1
    assert code_of(monkeypatch, "compare", runs[0]) == 2
    text = shown(capsys)
    assert r"0\x1b[2J" in text
    assert r"out\u202e" in text


def test_prepare(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def code(folder: Path, *options: str, name: str = "out") -> int:
        with pytest.raises(SystemExit) as stop:
            volumes.app([str(folder), str(tmp_path / name), *options])
        return int(stop.value.code or 0)

    assert code(next(scans.glob("good*")), "--normal", name="good") == 0
    assert code(scans, "--normal") == 1
    assert code(scans / "nothing") == 2
    assert code(next(scans.glob("good*")), name="none\x1b[2J") == 2  # no mask, and none said to be normal
    assert r"bad\x1b[2J\u202e\x9b\x07/a\rb.nii.gz" in shown(capsys)
    assert not list(tmp_path.rglob(LOCK))


@pytest.mark.parametrize("value", ["0", "1", "nan", "-0.5", "inf", "1e-400"])
def test_a_rate_that_no_threshold_keeps_is_refused_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, value: str
) -> None:
    assert (
        code_of(
            monkeypatch,
            "predict",
            "-i",
            tmp_path / "nothing",
            "-o",
            tmp_path / "out",
            "-m",
            "none",
            "--false-positive-rate",
            value,
        )
        == 2
    )
    assert "expected a rate above 0 and below 1" in " ".join(capsys.readouterr().err.replace("│", "").split())
    assert not (tmp_path / "out").exists()


@contextmanager
def unwritable(output: Path) -> Iterator[None]:
    output.parent.mkdir(exist_ok=True)
    output.write_text("a file in its place")
    yield


@pytest.mark.parametrize(
    ("state", "reason"),
    [(unwritable, "expected a folder that can be written to"), (another, "expected no other run in this output")],
)
def test_an_output_that_cannot_be_had_is_refused_before_scans_are_read(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    state: Any,
    reason: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("scans were read")

    scans = tmp_path / "scans"
    scans.mkdir()
    monkeypatch.setattr(studies, "find_studies", fail)
    monkeypatch.setattr(volumes.Volumes, "find", fail)
    with state(tmp_path / "out"):
        assert code_of(monkeypatch, "predict", "-i", scans, "-o", tmp_path / "out", "-m", "none") == 1
        error = capsys.readouterr().err.strip()
        assert error.startswith(f"error: {tmp_path / 'out'}: {reason}")
        assert "\n" not in error
        with pytest.raises(SystemExit) as stop:
            volumes.app([str(scans), str(tmp_path / "out")])
        assert stop.value.code == 2
        assert reason in capsys.readouterr().err


def test_a_fault_of_the_program_quotes_no_escapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scans: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen \x1b[2J\r")

    monkeypatch.setattr("qfae_monai.data.examination.contents_of", fail)
    assert code_of(monkeypatch, "check", scans) == 1
    assert "RuntimeError: unforeseen \\x1b[2J\\r\n" in shown(capsys)


def test_a_worker_quotes_no_escapes_in_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own begins with Python's way of printing them."""
    monkeypatch.setattr(warnings, "formatwarning", lambda *_: "\x1b[2J")
    with task_backend(1):
        shown = list(run_tasks(_warning, ["colour of a\x1b[2J.nii.gz"]))
    assert shown == ["UserWarning: colour of a\\x1b[2J.nii.gz\n"]


def _warning(text: str) -> str:
    return warnings.formatwarning(text, UserWarning, "a.py", 1)
