"""Seconds of `qfae predict` from its start to the first slices and to the end: `python -m benchmarks.predict VOLUME`.

The command runs in a terminal of its own; its progress bar says when the first slices (a batch of 16) are done.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

CODE = "from qfae_monai.cli import main; main()"
FIRST = re.compile(rb" [1-9]\d*/\d+ \[[^\]]*slice")


def run(command: list[str]) -> tuple[float, float]:
    """Seconds to the first slices and in all."""
    start, first, shown = time.perf_counter(), 0.0, b""
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.execv(command[0], command)
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the terminal is closed
            break
        if not part:
            break
        shown += part
        if not first and FIRST.search(shown):
            first = time.perf_counter() - start
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) or not first:
        raise SystemExit(shown.decode(errors="replace"))
    return first, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volume", type=Path)
    parser.add_argument("-m", "--model", type=Path, default=Path("demo/model"))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    seconds = []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            seconds.append(
                run(
                    [
                        sys.executable,
                        "-c",
                        CODE,
                        "predict",
                        "-i",
                        str(arguments.volume),
                        "-o",
                        folder,
                        "-m",
                        str(arguments.model),
                    ]
                )
            )
        print(f"first slices after {seconds[-1][0]:.1f} s, all written after {seconds[-1][1]:.1f} s", flush=True)
    print("median: {:.1f} s, {:.1f} s".format(*map(statistics.median, zip(*seconds, strict=True))))


if __name__ == "__main__":
    main()
