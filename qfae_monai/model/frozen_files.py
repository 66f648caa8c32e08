"""Frozen networks of a model folder: as files where licence and size allow it, by name and hash elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from timm.models.vision_transformer import VisionTransformer

from qfae_monai.files import sha256_of, write_whole
from qfae_monai.model.folder import NETWORK, PERCEPTUAL, FrozenNetwork
from qfae_monai.pretraining import read_card
from qfae_monai.weights import find_entry, find_weights, save_checkpoint
from qfae_monai.weights.catalogue import UNKNOWN_LICENCE
from qfae_monai.weights.checksums import SUMS_FILE

__all__ = ["encoders_of", "keep_perceptual"]

SUMS = f"models/{SUMS_FILE}"
MOST_BYTES = 100e6  # of weights that become part of a folder unasked
NOT_TO_HAND_ON = ("NC", "unknown")
"""Parts of licences under which weights do not become part of a folder unasked."""


def encoders_of(network: Mapping[str, Any]) -> list[FrozenNetwork]:
    """Records of the encoders, whose values are part of the network's own checkpoint."""
    encoders = network["encoder"] if isinstance(network["encoder"], list) else [network["encoder"]]
    return [FrozenNetwork("encoder", one["name"], NETWORK, None, _licence(one)[0]) for one in encoders]


def keep_perceptual(
    folder: Path,
    config: ConfigParser,
    network: Mapping[str, Any],
    trunk: VisionTransformer | None,
    include_weights: bool | None,
) -> list[FrozenNetwork]:
    """Write the perceptual network's values into the folder where that is allowed, and say where they are.

    Args:
        folder: of the model.
        config: of its training, for the place of weights that do not become part of the folder.
        network: name, and seed or weights, of the perceptual network.
        trunk: the network itself; None where the distance has none.
        include_weights: as in `ModelWriter`.
    """
    if trunk is None:
        return []
    licence, allowed = _licence(network)
    values = {name: value.detach().cpu() for name, value in trunk.state_dict().items()}
    small = sum(value.numel() * value.element_size() for value in values.values()) < MOST_BYTES  # bytes
    if include_weights or (include_weights is None and allowed and small):
        save_checkpoint(folder / PERCEPTUAL, values)
        found = sha256_of(folder / PERCEPTUAL)
        write_whole(folder / SUMS, f"{found}  {Path(PERCEPTUAL).name}\n")  # for MONAI's tools, which know no manifest
        return [FrozenNetwork("perceptual", network["name"], PERCEPTUAL, found, licence)]
    for old in (PERCEPTUAL, SUMS):
        (folder / old).unlink(missing_ok=True)
    weights = network.get("weights") or config.get_parsed_content("weights_dir")
    known = None if "seed" in network else sha256_of(find_weights(network["name"], weights))
    return [FrozenNetwork("perceptual", network["name"], None, known, licence)]


def _licence(network: Mapping[str, Any]) -> tuple[str, bool]:
    """Licence of a frozen network's values, and whether they may become part of a folder unasked."""
    if "seed" in network:
        return "none: random values of a fixed seed", True
    card = None if network.get("weights") is None else read_card(network["weights"])
    if card is not None:  # one's own, whose card says what they came from
        licence = str(card.get("licence", UNKNOWN_LICENCE))
        return licence, not any(word in licence for word in NOT_TO_HAND_ON)
    licence = find_entry(network["name"]).licence
    return licence, not any(word in licence for word in NOT_TO_HAND_ON)
