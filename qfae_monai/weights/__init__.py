"""Sources of pretrained weights: the hub, a local file or folder, a checkpoint, the published QFAE models.

The parts load where they are used, because a checksum or a table does not need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qfae_monai.weights.catalogue import CATALOGUE, WeightsEntry, find_entry
    from qfae_monai.weights.checkpoints import load_checkpoint, read_checkpoint, save_checkpoint
    from qfae_monai.weights.checksums import ChangedFileError, check_folder
    from qfae_monai.weights.fetch import fetch_weights
    from qfae_monai.weights.released import convert_released
    from qfae_monai.weights.sources import WeightsNotFoundError, find_weights
    from qfae_monai.weights.vit import create_vit

__all__ = [
    "CATALOGUE",
    "ChangedFileError",
    "WeightsEntry",
    "WeightsNotFoundError",
    "check_folder",
    "convert_released",
    "create_vit",
    "fetch_weights",
    "find_entry",
    "find_weights",
    "load_checkpoint",
    "read_checkpoint",
    "save_checkpoint",
]

_HOME = {
    "CATALOGUE": "catalogue",
    "ChangedFileError": "checksums",
    "WeightsEntry": "catalogue",
    "WeightsNotFoundError": "sources",
    "check_folder": "checksums",
    "convert_released": "released",
    "create_vit": "vit",
    "fetch_weights": "fetch",
    "find_entry": "catalogue",
    "find_weights": "sources",
    "load_checkpoint": "checkpoints",
    "read_checkpoint": "checkpoints",
    "save_checkpoint": "checkpoints",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
