"""Export of a pretraining: a file that timm loads, its card inside and beside it, and the settings of a model on it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from timm.models.vision_transformer import VisionTransformer

from qfae_monai.files import sha256_of, write_json
from qfae_monai.pretraining.card import model_card, read_card
from qfae_monai.pretraining.curves import Curves
from qfae_monai.pretraining.judgement import PaintedJudgement
from qfae_monai.pretraining.review import Survey
from qfae_monai.pretraining.trunk import encoder_blocks, loss_blocks, score_blocks
from qfae_monai.training.processes import is_writer, world_size
from qfae_monai.weights import save_checkpoint
from qfae_monai.weights.checkpoints import CARD_KEY
from qfae_monai.weights.sources import WeightsNotFoundError

logger = logging.getLogger(__name__)


class TrunkExport:
    """Write the trained network and its card when a run is complete, planned or stopped early; never after an error.

    `path` is what `create_vit(..., weights=path)` loads; the card is `path` with the suffix .json.

    Args:
        path: .safetensors file, replaced if it is there.
        trunk: the trained network.
        method, name, data, initial_weights, settings: see `model_card`.
        curves: whose last rows the card quotes.
        judgement: whose figures the card quotes; it runs before. None without one.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        trunk: VisionTransformer,
        *,
        method: str,
        name: str,
        data: Survey,
        curves: Curves,
        judgement: PaintedJudgement | None = None,
        initial_weights: str | os.PathLike | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.trunk, self.method, self.name = Path(path), trunk, method, name
        self.data, self.curves, self.judgement = data, curves, judgement
        self.initial_weights, self.settings = initial_weights, dict(settings or {})

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if not is_writer():
            return
        last: dict[str, Any] = {}
        for row in self.curves.rows:
            last |= row
        card = model_card(
            self.method,
            self.name,
            self.trunk,
            data=self.data,
            initial_weights=self.initial_weights,
            settings={**self.settings, "processes": world_size()},
            last=last,
            judgement=None if self.judgement is None else self.judgement.figures,
            epochs={"done": engine.state.epoch, "planned": int(engine.state.max_epochs or 0)},
        )
        state = {key: value.cpu() for key, value in self.trunk.state_dict().items()}
        save_checkpoint(self.path, state, metadata={CARD_KEY: json.dumps(card)})
        beside = {**card, "file": self.path.name, "sha256": sha256_of(self.path)}
        write_json(self.path.with_suffix(".json"), beside)
        logger.info("%s: %d epochs, weights in %s", self.method, engine.state.epoch, self.path)


# Numbers of a model whose frozen networks are both one's own: what `own_weights` changes of a preset.


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
