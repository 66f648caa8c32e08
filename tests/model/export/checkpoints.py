"""Model folders of small networks, as a training writes them; seeded, nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from qfae_monai.model.bundle import Bundle
from qfae_monai.model.writer import write_model

TINY: dict[str, Any] = {}
PAPER_LIKE: dict[str, Any] = {
    "changes::encoder": {
        "name": "vit_tiny_patch16_224",
        "patch_size": 8,
        "embed_dim": 48,
        "depth": 2,
        "num_heads": 3,
        "seed": 7,
    },
    "changes::encoder_blocks": [-1, -2],
    "changes::dim": 32,
    "changes::out_channels": 3,
    "changes::perceptual": {
        "name": "vit_tiny_patch16_224",
        "patch_size": 8,
        "embed_dim": 48,
        "depth": 2,
        "num_heads": 3,
        "seed": 11,
    },
    "changes::loss_blocks": [0, 1],
    "changes::metric": "cosine",
    "changes::score_blocks": [0, 1],
    "changes::score_patch_sizes": [8, 16, 32],
}
"""The paper's choices at a small width: two encoder states, cosine distance, product over three patch sizes."""


def make_model(folder: Path, settings: dict[str, Any]) -> Path:
    """Write a model folder of the smallest preset, its network as it was built."""
    bundle = Bundle(["train"], {"preset": "tiny", "slice_axis": 2, "model_dir": str(folder), **settings})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = bundle.part("network_def")
    return write_model(folder, bundle.config, network, bundle.part("perceptual_trunk")).path
