"""`qfae view`, as a user types it: where it listens, how it ends, what it refuses, and what it does not import."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from qfae_monai import cli
from tests.viewer.output_factory import make_output

# what a shell starts in the background ignores Ctrl-C, and so do its children
RUN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from qfae_monai.cli import main; main()"


def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr of a command that ends with exit code 1."""
    monkeypatch.setattr(sys, "argv", ["qfae", "view", *map(str, arguments), "--no-browser"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    lines = capsys.readouterr().err.splitlines()
    assert (stop.value.code, len(lines)) == (1, 1)
    return lines[0]


@pytest.mark.slow
def test_it_serves_until_interrupted(tmp_path: Path) -> None:
    output = make_output(tmp_path / "output", ["a", "b"])
    command = [sys.executable, "-u", "-c", RUN, "view", str(output), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"2 studies at (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends\)\n", line)
            assert found is not None
            with urllib.request.urlopen(found[1] + "studies.json", timeout=10) as answer:
                assert b'"study": "a"' in answer.read()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "ended\n", "")


@pytest.mark.slow
def test_neither_torch_nor_monai_is_imported() -> None:
    heavy = "{'torch', 'monai', 'numpy'} & set(sys.modules)"
    code = f"import sys, qfae_monai.cli.predict, qfae_monai.viewer.server; print({heavy})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_what_cannot_be_shown_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    assert refuse(monkeypatch, capsys, missing).startswith(f"error: {missing}: expected an output folder")
    assert "got no study in it" in refuse(monkeypatch, capsys, tmp_path)
    output = make_output(tmp_path / "output", ["a"])
    assert "expected an address of this machine" in refuse(monkeypatch, capsys, output, "--host", "192.0.2.1")


@pytest.mark.parametrize(("name", "opened"), [("xdg-open", 1), ("w3m", 0)])
def test_a_browser_with_a_window_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, opened: int
) -> None:
    addresses: list[str] = []
    browser = SimpleNamespace(name=name, open=addresses.append)
    monkeypatch.setattr("webbrowser.get", lambda: browser)
    monkeypatch.setattr("qfae_monai.viewer.server.ViewerServer.serve_forever", lambda self: None)
    monkeypatch.setattr(sys, "argv", ["qfae", "view", str(make_output(tmp_path / "output", ["a"]))])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert len(addresses) == opened
