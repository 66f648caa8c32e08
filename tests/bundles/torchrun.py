"""The bundle under torchrun, on the CPU: commands as docs/scaling.md gives them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bundles.conftest import BUNDLE, CONFIGS, config

TIMEOUT_S = 540  # of a whole command; nothing here takes a tenth of it on an idle machine
ONE_HOST = ("--standalone", "--nnodes=1", "--nproc_per_node=2")


def start(
    *names: str | Path, run_id: str, launcher: tuple[str, ...] = ONE_HOST, **settings: Any
) -> subprocess.Popen[str]:
    """`torchrun [launcher] -m monai.bundle run RUN_ID --config_file ... --KEY VALUE ...`, started."""
    given = {"bundle_root": BUNDLE, "preset": "tiny", **settings}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *launcher,
        "-m",
        "monai.bundle",
        "run",
        run_id,
        "--config_file",
        str(config(*names)),
        "--meta_file",
        str(CONFIGS / "metadata.json"),
        "--logging_file",
        str(CONFIGS / "logging.conf"),
        *(text for key, value in given.items() for text in (f"--{key}", str(value))),
    ]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # torchrun itself says so only for several on one host
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=one_thread)


def finish(*started: subprocess.Popen[str], succeeds: bool = True) -> str:
    """What the processes printed, once all have ended as they should."""
    try:
        printed = [process.communicate(timeout=TIMEOUT_S)[0] for process in started]
    finally:
        for process in started:
            process.terminate()  # torchrun ends its own; nothing where it has ended
    for process, text in zip(started, printed, strict=True):
        assert (process.returncode == 0) == succeeds, text[-6000:]
    return "\n".join(printed)
