"""The package itself: importing it costs next to nothing, and so does asking the command for help."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"monai", "numpy", "timm", "torch"}


@pytest.mark.slow
@pytest.mark.parametrize("module", ["qfae_monai", "qfae_monai.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert module in loaded
    assert not HEAVY & set(loaded)
