"""Whether a model folder holds code that is not this package's own: a stranger's model is data until it is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from qfae_monai.files import shown
from qfae_monai.files.configurations import OWN, code_in, read_configuration
from qfae_monai.model.folder import INFERENCE, inside

VALUES = ("prepare", "normalize", "read", "intensity")
"""Keys under which transforms may stand in any order, as far as the package's own configurations use them."""


def check_model_trusted(folder: Path, name: str = INFERENCE, *, trusted: bool) -> None:
    """Refuse a model folder whose configuration evaluates, calls or imports what this package's own do not.

    What `qfae train` writes has expressions and components of the package's configurations alone, each under its own
    key; so a model of others that was written so needs no trust: nothing of theirs is run.

    Args:
        folder: of the model.
        name: of the configuration that is about to run, below the folder.
        trusted: what the user said of it.

    Raises:
        ValueError: naming the file, what it would run and what to type.
    """
    if trusted:
        return
    file = inside(folder, name)
    for key, value in code_in(read_configuration(file)):
        if not _is_own(key, value):
            raise ValueError(
                f"{file}: expected what this package writes, or --trust beside it: a configuration is code, and "
                f"{shown(key)} here is {shown(value)}; `qfae inspect {folder}` shows all and runs none"
            )


def _is_own(key: str, value: Any) -> bool:
    places, transforms = _own_code()
    if (key, value) in places:
        return True
    parts = key.split("::")
    return parts[0] in VALUES and parts[-1] == "_target_" and value in transforms


@lru_cache(maxsize=1)
def _own_code() -> tuple[frozenset[tuple[str, Any]], frozenset[Any]]:
    """Key and value of all code in the package's configurations, and the transforms among them."""
    places = set(_places())
    transforms = {value for key, value in places if key.endswith("_target_") and ".transforms." in str(value)}
    return frozenset(places), frozenset(transforms)


def _places() -> Iterator[tuple[str, Any]]:
    for file in sorted((OWN / "configs").rglob("*.yaml")):
        for key, value in code_in(read_configuration(file)):
            if isinstance(value, str):
                yield key.lstrip("+"), value
    yield "perceptual_file", "$@bundle_root + '/models/perceptual.safetensors'"
