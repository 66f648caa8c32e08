"""Record of the settings that a results folder was started with: later runs must have the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qfae_monai.experiments.seed_run import digest, read_json
from qfae_monai.files import write_json
from qfae_monai.model.bundle import configuration_file


def claimed_inputs(overlays: Sequence[str | Path], data: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs that decide a result besides its seed: data, settings, and the bytes of the configurations."""
    return {
        "data": str(data.resolve()),
        **{f"--set {key}": value for key, value in settings.items()},
        **{str(name): digest(configuration_file(name)) for name in overlays},
    }


def claim(path: Path, settings: Mapping[str, Any]) -> None:
    """Write what a folder is run with, or refuse to mix it with something else.

    Raises:
        ValueError: if the folder was started with other settings (says which).
    """
    started = read_json(path)
    if started is None:
        write_json(path, settings)
        return
    differing = [
        f"{key}: started with {started.get(key, 'nothing')}, now {settings.get(key, 'nothing')}"
        for key in sorted({*started, *settings})
        if started.get(key) != settings.get(key)
    ]
    if differing:
        raise ValueError(
            f"{path.parent} was started with other settings: {'; '.join(differing)}; choose another --output"
        )
