"""Numbers of a model whose frozen networks are both one's own: what `own_weights` changes of a preset."""

from __future__ import annotations

import os
from typing import Any

from qfae_monai.pretraining.blocks import encoder_blocks, loss_blocks, score_blocks
from qfae_monai.pretraining.card import read_card
from qfae_monai.weights.sources import WeightsNotFoundError


def own_networks(encoder: str | os.PathLike, perceptual: str | os.PathLike) -> dict[str, Any]:
    """Values for `model_settings`: both networks as the cards in their files say, at the paper's depths.

    Args:
        encoder: weights that `pretrain_dino` wrote.
        perceptual: weights that `pretrain_mae` wrote.

    Raises:
        WeightsNotFoundError: if there is no such file.
        ValueError: if a file has no card.
    """
    first, second = _network(encoder), _network(perceptual)
    return {
        "encoder": first,
        "encoder_blocks": encoder_blocks(first["depth"]),
        "perceptual": second,
        "metric": "cosine",
        "loss_blocks": loss_blocks(second["depth"]),
        "score_blocks": score_blocks(second["depth"]),
    }


def _network(path: str | os.PathLike) -> dict[str, Any]:
    """Arguments of `create_vit`, at any image size."""
    if not os.path.isfile(path):
        raise WeightsNotFoundError(f"{path} not found: expected weights that pretrain_mae or pretrain_dino wrote")
    card = read_card(path)
    if card is None:
        raise ValueError(f"{path}: expected weights with a card, as a pretraining writes them, got none")
    sizes = {name: value for name, value in card["create_vit"].items() if name != "image_size"}
    return {**sizes, "weights": os.fspath(path)}
