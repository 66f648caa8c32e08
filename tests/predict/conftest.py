"""`qfae predict` with a model of the smallest preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from qfae_monai.cli import app


@pytest.fixture
def run(model_folder: Path) -> Any:
    """`qfae predict` in this process: run(source, output, *options, model=...)."""

    def predict(source: Path, output: Path, *options: str, model: Path = model_folder) -> Result:
        command = ["predict", "-i", str(source), "-o", str(output), "-m", str(model), *options]
        return CliRunner().invoke(app, command)

    return predict
