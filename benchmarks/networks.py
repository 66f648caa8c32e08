"""The bundle's networks with seeded random weights, for measuring: sizes by name, built from its configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from qfae_monai.model.bundle import Bundle

# DINOv2's layer scale starts at 1e-5, with which blocks without trained weights would do next to nothing
ENCODER = {"seed": 7, "init_values": None}
PERCEPTUAL = {"seed": 11}
BASE = {
    "changes::encoder": {**ENCODER, "name": "vit_base_patch14_reg4_dinov2"},
    "changes::perceptual": {**PERCEPTUAL, "name": "vit_base_patch16_224"},
}
LARGE = {
    "changes::encoder": {**ENCODER, "name": "vit_large_patch14_reg4_dinov2"},
    "changes::perceptual": {**PERCEPTUAL, "name": "vit_large_patch16_224"},
}
# DINOv2 ViT-S/14 for both, pixels decoded
DINOV2_SMALL = {
    "preset": "tiny",
    "changes::image_size": 112,
    "changes::encoder": {**ENCODER, "name": "vit_small_patch14_dinov2"},
    "changes::encoder_blocks": [-2, -4],
    "changes::dim": 192,
    "changes::grid": 7,
    "changes::perceptual": {**PERCEPTUAL, "name": "vit_small_patch14_dinov2", "init_values": None},
    "changes::metric": "cosine",
    "changes::loss_blocks": [7, 9],
    "changes::loss_patch_sizes": [28, 56],
    "changes::score_blocks": [5, 7, 9],
    "changes::score_patch_sizes": [14, 28],
    "batch_size": 16,
}
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"preset": "tiny"},
    "dinov2-small": DINOV2_SMALL,
    "mid": {
        "preset": "paper",
        **BASE,
        "changes::loss_blocks": [7, 9],
        "changes::score_blocks": [5, 7, 9],
        "batch_size": 4,
    },
    "small": {"preset": "small", **BASE},
    "paper": {"preset": "paper", **LARGE},
}
"""Settings of the bundle by name."""


def build(preset: str, device: torch.device, **settings: Any) -> Bundle:
    """The bundle's training, from which `network`, `loss` and `scorer` are made; `settings` replace its keys."""
    from qfae_monai.model.bundle import Bundle  # noqa: PLC0415 (torch is imported by measuring processes only)

    return Bundle(["train"], {**PRESETS[preset], "device": f"$torch.device({str(device)!r})", **settings})
