"""Weights as a pretraining leaves them: a small random vision transformer and its model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from qfae_monai.weights import create_vit

ARCHITECTURE: dict[str, Any] = {
    "name": "vit_tiny_patch16_224",
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 4,
    "num_heads": 2,
}


def write_own(path: Path, *, seed: int, inside: bool = False) -> Path:
    """Write weights with their card beside them, or inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    card = json.dumps({"method": "dino", "create_vit": {**ARCHITECTURE, "image_size": 64}})
    state = create_vit(**ARCHITECTURE, image_size=64, seed=seed).state_dict()
    save_file(dict(state), path, metadata={"model_card": card} if inside else None)
    if not inside:
        path.with_suffix(".json").write_text(card)
    return path
