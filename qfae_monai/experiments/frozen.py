"""Frozen networks to choose between: seeded random ones, public ones if they are there, and those trained in house."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from monai.bundle import ConfigParser

from qfae_monai.experiments.files import digest
from qfae_monai.files.configurations import path_text, read_configuration
from qfae_monai.pretraining.blocks import encoder_blocks, loss_blocks, score_blocks
from qfae_monai.pretraining.card import ARCHITECTURE, read_card, read_card_file
from qfae_monai.weights import WeightsNotFoundError, find_weights

Role = Literal["encoder", "perceptual"]
ROLES: tuple[Role, ...] = ("encoder", "perceptual")
RANDOM, PUBLIC = "random", "public"
SEEDS = {"encoder": 7, "perceptual": 11}
"""Of random networks, as in presets/tiny.json."""
UNTRAINED = "random:"
FOLD = "{fold}"
NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class FrozenNetwork:
    """A choice for one role.

    name: in the table. role: `encoder` or `perceptual`. source: None for what a configuration names itself, else a file
    of weights (.safetensors with its card), an overlay (.json), or `random:FILE`; `{fold}` in it stands for the fold's
    name. overlay: for a built-in one. in_house: whether it was trained on the group's own scans.
    """

    name: str
    role: Role
    source: str | None = None
    overlay: Mapping[str, Any] | None = None

    @property
    def in_house(self) -> bool:
        return self.source is not None and not self.source.startswith(UNTRAINED) and not self.source.endswith(".json")

    def overlay_file(self, fold: str) -> Path | None:
        """The configuration from elsewhere that this network is, None for weights and built-in ones."""
        if self.source is None or self.source.startswith(UNTRAINED) or not self.source.endswith(".json"):
            return None
        return Path(self.source.replace(FOLD, fold))

    def settings(self, fold: str) -> dict[str, Any]:
        """The overlay of the bundle that puts this network into its role.

        Raises:
            FileNotFoundError: if the file or its card is not there.
            ValueError: if the card has no architecture, or an overlay no network.
        """
        if self.source is None:
            return dict(self.overlay or {})
        text = self.source.replace(FOLD, fold)
        path = Path(text.removeprefix(UNTRAINED))
        if not path.is_file():
            raise FileNotFoundError(f"--{self.role} {self.name}: expected a file of weights or an overlay, "
                                    f"got no such file: {path}")  # fmt: skip
        if path.suffix == ".json" and not text.startswith(UNTRAINED):
            return self._read_overlay(path)
        architecture = read_architecture(path)
        trunk = {"_target_": "qfae_monai.weights.create_vit", **architecture, "image_size": "@image_size"}
        if text.startswith(UNTRAINED):
            weights, described = None, f"random, architecture of {path.name}"
            trunk["seed"] = SEEDS[self.role]
        else:
            weights, described = str(path.resolve()), path_text(f"{path.name}, {digest(path)}")
        return _place(self.role, trunk, weights, architecture["depth"]) | {f"_{self.role}_": described}

    def _read_overlay(self, path: Path) -> dict[str, Any]:
        content = read_configuration(path)
        if f"{self.role}_trunk" not in content:
            raise ValueError(f"{path}: expected an overlay with {self.role}_trunk, got the keys {sorted(content)}")
        return content


def parse_network(text: str, role: Role) -> FrozenNetwork:
    """`NAME=FILE`, `NAME=random:FILE` or `NAME=OVERLAY.json`.

    Raises:
        ValueError: if it is none of these, or the name is one of the built-in ones.

    >>> parse_network("dino=weights/{fold}/dino.safetensors", "encoder").name
    'dino'
    """
    name, equals, source = text.partition("=")
    if not equals or not source or not NAME.fullmatch(name) or name in (RANDOM, PUBLIC):
        raise ValueError(f"--{role}: expected NAME=FILE with a name of letters, digits, '_', '.' or '-' that is not "
                         f"'{RANDOM}' or '{PUBLIC}', got {text!r}")  # fmt: skip
    return FrozenNetwork(name, role, source)


def built_in(bundle: Path, overlays: Sequence[str], role: Role, settings: Mapping[str, Any]) -> list[FrozenNetwork]:
    """The configuration's own network filled at random, and with its public weights where they are present.

    Args:
        bundle: the bundle's folder.
        overlays: names of its configurations, `train` and a preset among them.
        role: of the network.
        settings: that replace the configurations' own, such as `weights_dir`.
    """
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in overlays])
    parser.update({"bundle_root": path_text(bundle), **settings})
    trunk: dict[str, Any] = parser.get_parsed_content(f"{role}_trunk", instantiate=False).get_config()
    weights = trunk.get("weights")
    if weights is None:
        return [FrozenNetwork(RANDOM, role)]
    rest = {**trunk, "image_size": "@image_size", "seed": trunk.get("seed") or SEEDS[role]}
    place = {"encoder_weights": None} if role == "encoder" else {}
    unfilled = {**rest, "weights": "@encoder_weights" if role == "encoder" else None}
    found = [FrozenNetwork(RANDOM, role, overlay={**place, f"{role}_trunk": unfilled})]
    try:
        find_weights(trunk["name"], weights)
    except WeightsNotFoundError:
        return found
    return [*found, FrozenNetwork(PUBLIC, role)]


def read_architecture(path: Path) -> dict[str, Any]:
    """Arguments of `create_vit` that weights fit, from the card beside them (`FILE.json`) or inside them.

    Raises:
        FileNotFoundError: if there is no card.
        ValueError: if the card is not what a pretraining writes, naming file and key.
    """
    beside = path.with_suffix(".json")
    card = read_card_file(beside) if beside.is_file() else read_card(path)
    if card is None:
        raise FileNotFoundError(f"{path}: expected its model card beside it, {beside.name}, got none")
    return {key: card["create_vit"][key] for key in ARCHITECTURE}


def _place(role: Role, trunk: dict[str, Any], weights: str | None, depth: int) -> dict[str, Any]:
    """An encoder's weights go through `encoder_weights`, which evaluation sets to the checkpoint's own."""
    if role == "encoder":
        return {
            "encoder_weights": weights,
            "encoder_trunk": {**trunk, "weights": "@encoder_weights"},
            "encoder_blocks": encoder_blocks(depth),
        }
    return {
        "perceptual_trunk": {**trunk, "weights": weights},
        "loss_blocks": loss_blocks(depth),
        "score_blocks": score_blocks(depth),
        "metric": "cosine",
    }
