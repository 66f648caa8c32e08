"""The package itself: importing it costs next to nothing, and so does asking the command for help."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from qfae_monai.files.installed import PACKAGE, bundle_folder

HEAVY = {"monai", "numpy", "timm", "torch"}


@pytest.mark.slow
@pytest.mark.parametrize("module", ["qfae_monai", "qfae_monai.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert module in loaded
    assert not HEAVY & set(loaded)


def test_what_a_configuration_builds_is_named_as_no_module() -> None:
    """From Python 3.12 on, `pydoc.locate`, by which MONAI finds them, would give the module."""
    texts = [file.read_text() for file in bundle_folder().glob("configs/**/*.yaml")]
    targets = {target for text in texts for target in re.findall(r"_target_: \"?(qfae_monai[\w.]+)", text)}
    assert len(targets) > 20
    assert [target for target in sorted(targets) if module_file(target).exists()] == []


def module_file(target: str) -> Path:
    return PACKAGE.parent.joinpath(*target.split(".")).with_suffix(".py")
