"""What ends a command from outside: its exit code, and nothing half-written."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

COMMAND = """
import signal, sys, time
from pathlib import Path
from qfae_monai import cli
from qfae_monai.files import one_writer, whole_file

if sys.argv.pop() == "ignored":  # as nohup does
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
else:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it

@cli.app.command()
def wait(output: Path) -> None:
    with one_writer(output), whole_file(output / "a.json") as partial:
        partial.write_text("half")
        print("waiting", flush=True)
        time.sleep(60)

cli.main()
"""


def started(output: Path, hangup: str = "default") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMAND, "wait", str(output), hangup]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_each_signal_has_its_code_and_leaves_nothing(number: signal.Signals, code: int, tmp_path: Path) -> None:
    with started(tmp_path / "out") as process:
        assert len(list((tmp_path / "out").iterdir())) == 2  # the lock, and half a file
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (code, "")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_nohup_is_kept(tmp_path: Path) -> None:
    with started(tmp_path / "out", "ignored") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
