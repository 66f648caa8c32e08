"""Model folders: planning, training, evaluating and opening them.

The parts load where they are used, because a plan or a manifest does not need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "ModelWriter": "writer",
    "create_autoencoder": "builders",
    "create_distance": "builders",
    "create_frozen": "builders",
    "create_qfae": "builders",
    "create_scorer": "builders",
    "create_volume_score": "builders",
    "model_settings": "presets",
    "running_signature": "signature",
    "stated_setting": "signature",
    "training_setting": "presets",
    "update_model": "writer",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
