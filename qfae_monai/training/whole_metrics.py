"""MONAI's `metrics.csv`, whole or absent: its own handler writes into the file in place."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from ignite.engine import Engine
from monai.handlers import MetricsSaver

from qfae_monai.files import write_whole


class WholeMetrics(MetricsSaver):
    """MONAI's `MetricsSaver`, whose files take their place when they are complete; arguments are its own."""

    def __call__(self, engine: Engine) -> None:
        """Called by every process; one of them writes."""
        target = self.save_dir
        with TemporaryDirectory(prefix="qfae-") as folder:
            self.save_dir = folder
            try:
                super().__call__(engine)
            finally:
                self.save_dir = target
            for path in sorted(Path(folder).iterdir()):
                write_whole(Path(target) / path.name, path.read_bytes())
