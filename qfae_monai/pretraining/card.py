"""Model card of pretrained weights: their data, origin, licence, sizes and versions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from timm.models.vision_transformer import Attention, VisionTransformer

from qfae_monai import __version__
from qfae_monai.files import parse_object, read_object, sha256_of
from qfae_monai.files.schema import anything, record, text, whole
from qfae_monai.networks import grey
from qfae_monai.pretraining.review import Survey
from qfae_monai.training.training_record import package_versions
from qfae_monai.weights import find_entry, find_weights
from qfae_monai.weights.catalogue import UNKNOWN_LICENCE
from qfae_monai.weights.checkpoints import CARD_KEY, read_metadata

PACKAGES = ("torch", "timm", "monai", "lightly", "numpy")
ARCHITECTURE = {
    "name": text(r"[A-Za-z0-9_.]+", "the timm name of an architecture", 100),
    "patch_size": whole(1, 256),  # pixels
    "embed_dim": whole(1, 2048),
    "depth": whole(1, 64),
    "num_heads": whole(1, 64),
}
CARD = record(
    {"create_vit": record(ARCHITECTURE, {"image_size": whole(1, 8192)})},
    {"licence": text(longest=1000), "method": text()},
    others=anything,
)
"""Schema of a card: arguments that make a network, exactly; the rest is only ever shown."""
WHAT = "a model card"
SCRATCH_LICENCE = "that of whoever trained it: it starts from random values and has seen no data but the above"


def model_card(
    method: str,
    name: str,
    trunk: VisionTransformer,
    *,
    data: Survey,
    initial_weights: str | os.PathLike | None,
    settings: Mapping[str, Any],
    epochs: Mapping[str, int],
    last: Mapping[str, Any],
    judgement: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything but the weights' own sum, ready for JSON.

    Args:
        method: "mae" or "dino".
        name: timm name of the architecture.
        trunk: the trained network.
        data: what it was trained on.
        initial_weights: what it started from, as in `create_trunk`.
        settings: seed, batch size and other numbers of the run.
        epochs: "done" and "planned".
        last: figures at the end.
        judgement: figures of `PaintedJudgement`; None without one.
    """
    start = origin(name, initial_weights)
    return {
        "method": method,
        "create_vit": architecture(name, trunk),
        "normalisation": {"mean": grey.MEAN, "std": grey.STD},
        "data": asdict(data),
        "started_from": start,
        "licence": start["licence"],
        "epochs": dict(epochs),
        "settings": dict(settings),
        "last": dict(last),
        **({} if judgement is None else {"judgement": dict(judgement)}),
        "versions": {"qfae-monai": __version__, **package_versions(PACKAGES)},
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def architecture(name: str, trunk: VisionTransformer) -> dict[str, Any]:
    """Arguments with which `create_vit` makes the network that the weights fit."""
    return {
        "name": name,
        "image_size": int(trunk.patch_embed.img_size[0]),
        "patch_size": int(trunk.patch_embed.patch_size[0]),
        "embed_dim": trunk.embed_dim,
        "depth": len(trunk.blocks),
        "num_heads": cast(Attention, trunk.get_submodule("blocks.0.attn")).num_heads,
    }


def origin(name: str, initial_weights: str | os.PathLike | None) -> dict[str, Any]:
    """File, sum and licence of what a training started from; a card inside the file knows its licence."""
    if initial_weights is None:
        return {"file": None, "licence": SCRATCH_LICENCE}
    path = find_weights(name, initial_weights)
    card = read_card(path)
    licence = find_entry(name).licence if card is None else card.get("licence", UNKNOWN_LICENCE)
    return {"file": path.name, "sha256": sha256_of(path), "licence": licence}


def read_card(path: str | os.PathLike) -> dict[str, Any] | None:
    """The card inside a weights file; None where there is none.

    Raises:
        ValueError: if it is no card; the message names file and key.
    """
    path = Path(path)
    content = read_metadata(path).get(CARD_KEY)
    source = f"{path}, metadata {CARD_KEY!r}"
    return None if content is None else _check_network(parse_object(content, source, CARD, what=WHAT), source)


def read_card_file(path: Path) -> dict[str, Any]:
    """The card in a file of its own, as a pretraining leaves it beside the weights.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no card; the message names file and key.
    """
    return _check_network(read_object(path, CARD, what=WHAT), path)


def _check_network(card: dict[str, Any], source: object) -> dict[str, Any]:
    """Check what a schema cannot: timm knows the name, and the number of heads divides the width."""
    network = card["create_vit"]
    try:
        find_entry(network["name"])
    except ValueError as error:
        raise ValueError(f"{source}: create_vit.name: {error}") from None
    if network["embed_dim"] % network["num_heads"]:
        raise ValueError(
            f"{source}: create_vit.num_heads: expected a divisor of embed_dim {network['embed_dim']}, got "
            f"{network['num_heads']}"
        )
    return card
