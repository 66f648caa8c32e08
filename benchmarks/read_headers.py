"""Processor time of `qfae check` on a folder beside dcm2niix: `python benchmarks/read_headers.py FOLDER --runs 5`.

Each program runs several times in turns, each in a process of its own; the median of user and system time counts, and
the clock beside it. `start` is the same command on no folder: interpreter, imports, command line. What remains when
it is taken off is what the files cost. dcm2niix is looked for on the PATH, or given with `--dcm2niix`: the program
itself, as the command that its wheel installs starts a Python first; without it the ratios are left out.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

QFAE = (sys.executable, "-c", "from qfae_monai.cli import main; main()", "check")
MISSING = "no such folder"


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Processor time, user and system, and time by the clock, of one run; seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - start


def table(folder: Path, runs: int, dcm2niix: str | None) -> str:
    """Rows of name, processor time, clock, and processor time over dcm2niix's, with and without the start."""
    with tempfile.TemporaryDirectory() as output:
        commands: dict[str, Sequence[str]] = {
            "start": (*QFAE, MISSING),
            "`qfae check --headers-only`": (*QFAE, str(folder), "--headers-only"),
            "`qfae check`": (*QFAE, str(folder)),
            "`import pydicom`": (sys.executable, "-c", "import pydicom"),
        }
        if dcm2niix is not None:
            commands["dcm2niix"] = (dcm2niix, "-z", "n", "-w", "1", "-f", "x", "-o", output, str(folder))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():
                times[name].append(measure(command))
    used = {name: median(one[0] for one in found) for name, found in times.items()}
    lines = ["| | processor time | clock | over dcm2niix | over dcm2niix, without start |", "|---|---|---|---|---|"]
    for name, found in times.items():
        ratios = ["-", "-"]
        if "dcm2niix" in used and name.startswith("`qfae"):
            ratios = [f"{used[name] / used['dcm2niix']:.1f}", f"{(used[name] - used['start']) / used['dcm2niix']:.1f}"]
        clock = median(one[1] for one in found)
        lines.append(f"| {name} | {used[name]:.2f} s | {clock:.2f} s | {ratios[0]} | {ratios[1]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dcm2niix", default=shutil.which("dcm2niix"), help="the program itself")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        raise SystemExit(f"{arguments.folder}: expected a folder of DICOM files, got none")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(table(arguments.folder, arguments.runs, arguments.dcm2niix))


if __name__ == "__main__":
    main()
