"""Sources of pretrained weights: the hub, a local file or folder, a checkpoint, the published QFAE models.

The parts load where they are used, because a checksum or a table does not need torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qfae_monai.lazy import lazy_names

if TYPE_CHECKING:
    from qfae_monai.weights.catalogue import CATALOGUE, WeightsEntry, find_entry
    from qfae_monai.weights.checkpoints import load_checkpoint, read_checkpoint, save_checkpoint
    from qfae_monai.weights.checksums import ChangedFileError, check_folder
    from qfae_monai.weights.hub import fetch_weights
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

__getattr__ = lazy_names(
    __name__,
    {
        "catalogue": ("CATALOGUE", "WeightsEntry", "find_entry"),
        "checkpoints": ("load_checkpoint", "read_checkpoint", "save_checkpoint"),
        "checksums": ("ChangedFileError", "check_folder"),
        "hub": ("fetch_weights",),
        "released": ("convert_released",),
        "sources": ("WeightsNotFoundError", "find_weights"),
        "vit": ("create_vit",),
    },
)
