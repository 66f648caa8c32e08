"""What a published checkpoint costs at full size on a CPU: `OMP_NUM_THREADS=2 python -m benchmarks.published STAND_IN`.

STAND_IN is the folder that `python -m benchmarks.stand_in` wrote. The checkpoint is imported as a model folder, that
model scores the dozen test images (`qfae evaluate`), and the checkpoint's two readings are made (`qfae experiments
evaluate`). Each command runs by itself; the memory of its whole tree of processes is read twice a second, as the sum
of their proportional set sizes, so that what processes share counts once. The models stay in STAND_IN/measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stand_in import changes_of

EVERY = 0.5  # s, between two looks at the memory


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; its wall time in s, and the highest memory of its tree of processes in GB.

    Raises:
        CalledProcessError: if it fails; what it said stands on the screen.
    """
    begin, highest = time.perf_counter(), 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            highest = max(highest, sum(proportional(number) for number in tree(process.pid)))
            time.sleep(EVERY)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - begin, highest / 1e9


def tree(process: int) -> list[int]:
    """A process and all that it started, by number."""
    try:
        text = " ".join(path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children"))
    except OSError:  # it has just ended
        return []
    return [process, *(one for child in text.split() for one in tree(int(child)))]


def proportional(process: int) -> int:
    """Proportional set size in bytes; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def commands(stand_in: Path, encoders: int, *, small: bool) -> dict[str, list[str]]:
    """The commands that a user would type, by what they do.

    Args:
        stand_in: folder of the stand-in.
        encoders: of its checkpoint, 1 or 2.
        small: whether its networks are narrow.
    """
    qfae = [sys.executable, "-m", "qfae_monai"]
    checkpoint, weights, data = (str(stand_in / name) for name in ("last_ckpt.pth", "weights", "data"))
    made = stand_in / "measured"
    changes = changes_of(encoders, small=small)
    sets = [word for name, value in changes.items() for word in ("--set", f"changes::{name}={json.dumps(value)}")]
    common = ["--preset", "paper", "--weights", weights, *sets]
    return {
        "qfae model import": [
            *(*qfae, "model", "import", checkpoint, "-o", str(made / "model"), "--config", "datasets/bmad"),
            *common,
        ],
        "qfae evaluate": [
            *(*qfae, "evaluate", data, "-m", str(made / "model"), "-o", str(made / "evaluation")),
            *("--set", f"weights_dir={weights}"),
        ],
        "qfae experiments evaluate": [
            *(*qfae, "experiments", "evaluate", "brats2021", "--checkpoint", checkpoint, "--data", data),
            *("--output", str(made / "readings"), *common),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("stand_in", type=Path, metavar="STAND_IN")
    parser.add_argument("--encoders", type=int, choices=(1, 2), default=1)
    parser.add_argument("--small", action="store_true", help="the stand-in was made with --small")
    given = parser.parse_args()
    shutil.rmtree(given.stand_in / "measured", ignore_errors=True)
    print("| command | wall time, s | highest memory, GB |\n|---|---|---|", flush=True)
    for name, command in commands(given.stand_in, given.encoders, small=given.small).items():
        seconds, gigabytes = measure(command)
        print(f"| `{name}` | {seconds:.0f} | {gigabytes:.1f} |", flush=True)


if __name__ == "__main__":
    main()
