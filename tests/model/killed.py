"""`qfae train` in a process of its own that is killed at a point."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from qfae_monai.model.bundle import Bundle
from qfae_monai.model.training import train
from qfae_monai.training import EpochSeed
from tests.conftest import BUDGET

LAST_EPOCH = 3


def train_until(when: str, cohort: Path, output: Path) -> None:
    begin, run = EpochSeed.__call__, Bundle.run

    def epoch(handler: EpochSeed, engine: Engine) -> None:
        if (when, engine.state.epoch) == ("training", LAST_EPOCH):
            os.kill(os.getpid(), signal.SIGKILL)
        begin(handler, engine)

    def step(bundle: Bundle, run_id: str, **how: Any) -> None:
        if run_id == when != "training":
            os.kill(os.getpid(), signal.SIGKILL)
        run(bundle, run_id, **how)

    for owner, name, replacement in ((EpochSeed, "__call__", epoch), (Bundle, "run", step)):
        setattr(owner, name, replacement)
    train(cohort / "normal", output, abnormal=cohort / "abnormal", masks=cohort / "masks", images=BUDGET)
