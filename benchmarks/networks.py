"""The bundle's networks with seeded random weights, for measuring: sizes by name, built from its configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

CONFIGS = Path(__file__).parents[1] / "bundles" / "qfae" / "configs"
VIT = {"_target_": "qfae_monai.weights.create_vit", "image_size": "@image_size"}

# DINOv2's layer scale starts at 1e-5, with which blocks without trained weights would do next to nothing
ENCODER = {**VIT, "seed": 7, "init_values": None}
PERCEPTUAL = {**VIT, "seed": 11}
BASE = {
    "encoder_trunk": {**ENCODER, "name": "vit_base_patch14_reg4_dinov2"},
    "perceptual_trunk": {**PERCEPTUAL, "name": "vit_base_patch16_224"},
}
PRESETS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "tiny": (["presets/tiny"], {}),
    "mid": ([], {**BASE, "batch_size": 4, "loss_blocks": [7, 9], "score_blocks": [5, 7, 9]}),
    "small": (["presets/small"], BASE),
    "paper": (
        [],
        {
            "encoder_trunk": {**ENCODER, "name": "vit_large_patch14_reg4_dinov2"},
            "perceptual_trunk": {**PERCEPTUAL, "name": "vit_large_patch16_224"},
        },
    ),
}
"""Overlays on train.json, and what replaces single keys of it."""


def build(preset: str, device: torch.device, **settings: Any) -> ConfigParser:
    """The bundle's configuration, from which `network`, `loss` and `scorer` are made; `settings` replace its keys."""
    overlays, overrides = PRESETS[preset]
    config = ConfigParser()
    config.read_config([str(CONFIGS / f"{name}.json") for name in ("train", *overlays)])
    scorer = json.loads((CONFIGS / "evaluate.json").read_text())["scorer"]
    config.update({**overrides, **settings, "scorer": scorer})
    config["device"] = device
    return config
