"""Two runs into one output: the second one is refused, whatever became of others before."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qfae_monai.files import LOCK, PARTIAL, give_back, lock, one_writer, take

HOLD = """
import sys
from pathlib import Path
from qfae_monai.files import one_writer
with one_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

FORK = """
import os, sys
from pathlib import Path
from qfae_monai.files import take
take(Path(sys.argv[1]))
if os.fork() == 0:
    print("held", flush=True)
    sys.stdin.read()  # until the test is over
sys.stdin.read()
"""


@contextmanager
def another(output: Path, script: str = HOLD) -> Iterator[subprocess.Popen[str]]:
    """A process that holds an output until its input is closed."""
    command = [sys.executable, "-c", script, str(output)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_a_second_run_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with another(output) as first:
        with pytest.raises(ValueError, match=r"out: expected no other run in this output, got one that is still"):
            take(output)
        with pytest.raises(ValueError, match="no other run"), one_writer(tmp_path / "." / "out"):
            pass
        with one_writer(tmp_path / "elsewhere"):
            pass
        first.communicate("")
    with one_writer(output):
        assert [path.name for path in output.iterdir()] == [LOCK]
    assert not output.exists()  # nobody filled it


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with another(output) as first:
        (output / f"{PARTIAL}1-ab.json").touch()
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert (output / LOCK).exists()
        with one_writer(output):
            assert not list(output.glob(f"{PARTIAL}*"))
    assert not (output / LOCK).exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked there")
def test_what_a_killed_run_forked_holds_nothing_either(tmp_path: Path) -> None:
    """As processes that load data, which notice only later that their parent is gone."""
    with another(tmp_path, FORK) as first:
        first.kill()
        first.wait()
        with one_writer(tmp_path):
            assert (tmp_path / LOCK).exists()


def test_a_folder_with_results_stays_and_has_no_lock_afterwards(tmp_path: Path) -> None:
    with one_writer(tmp_path):
        (tmp_path / "summary.json").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_a_process_holds_an_output_once(tmp_path: Path) -> None:
    """As two evaluations in one notebook, the first of which failed."""
    take(tmp_path)
    take(tmp_path)
    give_back(tmp_path)
    give_back(tmp_path)
    with one_writer(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_an_output_that_cannot_be_written_is_one_sentence(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.os, "open", fail)
    with pytest.raises(OSError, match=rf"out: expected a folder that can be written to, got: {os.strerror(number)}"):
        take(tmp_path / "out")


def test_a_file_in_its_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    for path in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(OSError, match="expected a folder that can be written to, got: "):
            take(path)


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", fail)
    with one_writer(tmp_path):
        pass
    assert "no locks" in caplog.text


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no such flag")
def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="expected a folder that can be written to"):
        take(tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()
