"""The numbers of the paper's model and of smaller ones: each stands here, and nowhere else.

What a configuration of the bundle calls `preset` is a name of this table; `changes` replaces single numbers of it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

NEIGHBOURS = "neighbours"

PAPER: dict[str, Any] = {
    "image_size": 224,  # pixels, of the square that the networks see
    "encoder": {"name": "vit_large_patch14_reg4_dinov2.lvd142m"},  # arguments of `create_vit`, or a list of such
    "encoder_blocks": [-2, -4],  # whose states are concatenated
    "encoder_norm": False,  # whether they are normalised over channels: those of DINOv2 ViT-S/14 are small
    "additional_block": None,  # one more trained block behind the encoder: num_heads, mlp_ratio
    "dim": 768,  # width of queries and decoder
    "decodes": "pixels",  # or the encoder's own `tokens`
    "target_blocks": [],  # groups of the encoder's blocks whose tokens are decoded, where they are
    "whiten_directions": True,  # of these tokens, and not their channels alone
    "grid": 28,  # patches along a side that pixels are decoded by: grid ** 2 queries
    "queries": None,  # their number where tokens are decoded
    "qformer_width": None,  # of what leaves the Q-Former; null for `dim`
    "query_init_std": 0.001,
    "query_dropout": 0.0,
    "qformer_dropout": 0.01,  # behind its MLPs
    "token_dropout": 0.0,
    "decoder_depth": 6,
    "decoder_heads": 12,
    "decoder_registers": 4,
    "out_channels": 3,
    "perceptual": {"name": "vit_large_patch16_224.mae"},  # arguments of `create_vit`
    "metric": "cosine",
    "loss_blocks": [15, 19],
    "loss_patch_sizes": [32, 56],  # pixels
    "foreground_weight": 1.0,  # how often a foreground pixel counts for one of the background
    "foreground_level": 0.01,  # grey in [0, 1] above which a pixel is foreground
    "score_blocks": [11, 15, 19],
    "score_patch_sizes": [16, 32, 56],  # pixels
    "score_consensus": "product",
    "score_layers": None,  # numbers of the maps that count, `neighbours` for those of neighbours, null for all
    "score_smoothing": 0.0,  # pixels, standard deviation of a Gaussian
    "score_standardised": False,  # whether maps are standardised by those of held-out normals
    "score_neighbours": False,  # whether the distance from the nearest normal tokens is one more map
    "score_over_pixels": "max",  # or `top`, the mean of the highest share, or `mean`
    "score_share": 0.05,  # of the pixels, for `top`
    "score_body": False,  # whether pixels up to `foreground_level` are left out
    "score_over_layers": "mean",
    "map_over_layers": "mean",
    "volume_score_over_slices": "max",
    "volume_score_k": 3,  # slices, where the volume's score is the mean of the highest
}
"""The published configuration (supplement, Tables 6 and 7)."""

SMALL: dict[str, Any] = PAPER | {
    "encoder": {"name": "vit_base_patch14_reg4_dinov2.lvd142m"},
    "dim": 384,
    "decoder_heads": 6,
    "perceptual": {"name": "vit_base_patch16_224.mae"},
    "loss_blocks": [7, 9],
    "score_blocks": [5, 7, 9],
}
"""For one consumer GPU."""

SEEDED = {"name": "vit_tiny_patch16_224", "patch_size": 8, "depth": 1, "num_heads": 4, "positions": "sincos"}
TINY: dict[str, Any] = PAPER | {
    "image_size": 64,
    "encoder": SEEDED | {"seed": 7, "embed_dim": 128},
    "encoder_blocks": [-1],
    "dim": 128,
    "grid": 4,
    "query_init_std": 1.0,
    "decoder_depth": 2,
    "decoder_heads": 4,
    "decoder_registers": 1,
    "out_channels": 1,
    "perceptual": SEEDED | {"seed": 11, "bias_std": 0.3, "embed_dim": 64},
    "metric": "l2",
    "loss_blocks": [0],
    "loss_patch_sizes": [8, 16],
    "score_blocks": [0],
    "score_patch_sizes": [8, 16],
}
"""For a few minutes on two CPU cores: the frozen networks are random, of a fixed seed."""

DINOV2_SMALL: dict[str, Any] = PAPER | {
    "image_size": 224,
    "encoder": {"name": "vit_small_patch14_dinov2.lvd142m"},
    "encoder_blocks": [4],
    "decodes": "tokens",
    "target_blocks": [[2], [4], [9]],  # texture, parts, and what they are parts of
    "queries": 16,
    "dim": 192,
    "query_init_std": 1.0,
    "decoder_depth": 2,
    "decoder_heads": 6,
    "out_channels": 1,
    "perceptual": None,  # tokens are compared as they are
    "score_standardised": True,
    "score_neighbours": True,
    "score_layers": NEIGHBOURS,  # the reconstruction's maps beside them found less on real scans: docs/real-data.md
    "score_over_pixels": "mean",
    "score_body": True,
}
"""For two CPU cores with foundation weights: it decodes the tokens of DINOv2 ViT-S/14, a variant of ours."""

TINY_TOKENS: dict[str, Any] = TINY | {
    "decodes": "tokens",
    "target_blocks": [[-1]],
    "whiten_directions": False,  # random tokens vary in few directions, and the others are noise
    "queries": 16,
    "perceptual": None,
    "score_standardised": True,
    "score_neighbours": True,
    "score_layers": NEIGHBOURS,  # the reconstruction's maps beside them found less on real scans: docs/real-data.md
    "score_over_pixels": "mean",
    "score_body": True,
}
"""As `tiny`, but the random encoder's tokens are decoded: on real scans better than pixels from random networks."""

MODELS: dict[str, dict[str, Any]] = {
    "paper": PAPER,
    "small": SMALL,
    "dinov2_small": DINOV2_SMALL,
    "tiny": TINY,
    "tiny_tokens": TINY_TOKENS,
}

TRAINING: dict[str, dict[str, Any]] = {
    "paper": {"batch_size": 64, "max_epochs": 300, "learning_rate": 8e-5, "num_workers": 12, "precision": "float32"},
    "small": {"batch_size": 32, "max_epochs": 300, "learning_rate": 8e-5, "num_workers": 4, "precision": "auto"},
    "dinov2_small": {
        "batch_size": 16,
        "max_epochs": 60,
        "learning_rate": 1e-3,
        "num_workers": 0,
        "precision": "float32",
    },
    "tiny": {"batch_size": 8, "max_epochs": 12, "learning_rate": 5e-4, "num_workers": 0, "precision": "float32"},
    "tiny_tokens": {
        "batch_size": 16,
        "max_epochs": 12,
        "learning_rate": 1e-3,
        "num_workers": 0,
        "precision": "float32",
    },
}
"""How a preset is trained unless a configuration says otherwise."""


def model_settings(preset: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every number of a model: sizes of its networks, distance, and how maps become scores.

    Args:
        preset: `paper`, `small`, `dinov2_small`, `tiny` or `tiny_tokens`.
        changes: values by name that replace the preset's.

    Raises:
        ValueError: for an unknown preset or name.

    >>> model_settings("tiny", {"dim": 192})["dim"]
    192
    """
    if preset not in MODELS:
        raise ValueError(f"preset: expected one of {', '.join(MODELS)}, got {preset!r}")
    unknown = sorted(set(changes or {}) - set(PAPER))
    if unknown:
        raise ValueError(f"changes: expected names of {', '.join(PAPER)}; got {', '.join(map(repr, unknown))}")
    return copy.deepcopy(MODELS[preset] | dict(changes or {}))


def score_layers(settings: Mapping[str, Any]) -> list[int] | None:
    """Numbers of the maps that a score is made of: those of the reconstruction come first, then those of neighbours.

    Args:
        settings: all numbers of a model.

    Returns:
        None for all; so, too, for `neighbours` where none are compared with.

    Raises:
        ValueError: for another word.

    >>> score_layers(model_settings("tiny_tokens")), score_layers(model_settings("tiny"))
    ([1, 2], None)
    """
    layers = settings["score_layers"]
    if not isinstance(layers, str):
        return layers
    if layers != NEIGHBOURS:
        raise ValueError(f"score_layers: expected numbers of maps, {NEIGHBOURS!r} or null, got {layers!r}")
    groups = len(settings["target_blocks"])  # a map of the reconstruction each, and two of neighbours
    return list(range(groups, 3 * groups)) if settings["score_neighbours"] else None


def training_setting(preset: str, name: str) -> Any:
    """One number of how a preset is trained: `batch_size`, `max_epochs`, `learning_rate`, `num_workers`, `precision`.

    Raises:
        ValueError: for an unknown preset.
    """
    if preset not in TRAINING:
        raise ValueError(f"preset: expected one of {', '.join(TRAINING)}, got {preset!r}")
    return TRAINING[preset][name]
