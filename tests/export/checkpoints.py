"""Checkpoints of small networks and the settings they are exported with; seeded, nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from qfae_monai.weights import save_checkpoint

BUNDLE = Path(__file__).parents[2] / "bundles" / "qfae"
CONFIGS = [str(BUNDLE / "configs" / name) for name in ("inference.json", "presets/tiny.json")]

TINY: dict[str, Any] = {}
PAPER_LIKE: dict[str, Any] = {
    "encoder_trunk::embed_dim": 48, "encoder_trunk::depth": 2, "encoder_trunk::num_heads": 3,
    "encoder_blocks": [-1, -2], "dim": 32, "out_channels": 3,
    "perceptual_trunk::embed_dim": 48, "perceptual_trunk::depth": 2, "perceptual_trunk::num_heads": 3,
    "metric": "cosine", "score_blocks": [0, 1], "score_patch_sizes": [8, 16, 32], "score_consensus": "product",
}  # fmt: skip
"""The paper's choices at a small width: two encoder states, cosine distance, product over three patch sizes."""


def make_checkpoint(path: Path, settings: dict[str, Any]) -> Path:
    config = ConfigParser()
    config.read_config(CONFIGS)
    config.update(settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_checkpoint(path, {"model": config.get_parsed_content("network_def").state_dict()})
    return path
