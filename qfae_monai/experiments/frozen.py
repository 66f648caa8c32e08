"""Frozen networks to choose between: seeded random ones, public ones if they are there, and those trained in house."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qfae_monai.experiments.seed_run import digest
from qfae_monai.files.configurations import SUFFIXES, path_text, read_configuration
from qfae_monai.model.bundle import Bundle
from qfae_monai.pretraining.card import ARCHITECTURE, read_card, read_card_file
from qfae_monai.pretraining.trunk import encoder_blocks, loss_blocks, score_blocks
from qfae_monai.weights import WeightsNotFoundError, find_weights

Role = Literal["encoder", "perceptual"]
ROLES: tuple[Role, ...] = ("encoder", "perceptual")
RANDOM, PUBLIC = "random", "public"
SEEDS = {"encoder": 7, "perceptual": 11}
"""Of random networks, as in the preset `tiny`."""
UNTRAINED = "random:"
FOLD = "{fold}"
NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class FrozenNetwork:
    """A choice for one role.

    name: in the table. role: `encoder` or `perceptual`. source: None for what a configuration names itself, else a file
    of weights (.safetensors with its card), an overlay (.yaml, .json), or `random:FILE`; `{fold}` in it stands for the
    fold's name. overlay: for a built-in one. in_house: whether it was trained on the group's own scans.
    """

    name: str
    role: Role
    source: str | None = None
    overlay: Mapping[str, Any] | None = None

    @property
    def in_house(self) -> bool:
        return self.source is not None and not self.source.startswith(UNTRAINED) and not self._is_overlay

    @property
    def _is_overlay(self) -> bool:
        return self.source is not None and self.source.endswith(SUFFIXES) and not self.source.startswith(UNTRAINED)

    def overlay_file(self, fold: str) -> Path | None:
        """The configuration from elsewhere that this network is, None for weights and built-in ones."""
        return Path(str(self.source).replace(FOLD, fold)) if self._is_overlay else None

    def settings(self, fold: str) -> dict[str, Any]:
        """The overlay of the bundle that puts this network into its role.

        Raises:
            FileNotFoundError: if the file or its card is not there.
            ValueError: if the card has no architecture, or an overlay no network.
        """
        if self.source is None:
            return dict(self.overlay or {})
        text = self.source.replace(FOLD, fold)  # in-house weights must not have seen the fold's test patients
        path = Path(text.removeprefix(UNTRAINED))
        if not path.is_file():
            raise FileNotFoundError(
                f"--{self.role} {self.name}: expected a file of weights or an overlay, got no such file: {path}"
            )
        if self._is_overlay:
            return self._read_overlay(path)
        architecture = read_architecture(path)
        if text.startswith(UNTRAINED):
            network, described = {**architecture, **_random(self.role)}, f"random, architecture of {path.name}"
        else:
            network = {**architecture, "weights": str(path.resolve())}
            described = path_text(f"{path.name}, {digest(path)}")
        return _place(self.role, network) | {f"_{self.role}_": described}

    def _read_overlay(self, path: Path) -> dict[str, Any]:
        content = read_configuration(path)
        if f"changes::{self.role}" not in content:
            raise ValueError(f"{path}: expected an overlay with changes::{self.role}, got the keys {sorted(content)}")
        return content


def parse_network(text: str, role: Role) -> FrozenNetwork:
    """`NAME=FILE`, `NAME=random:FILE` or `NAME=OVERLAY.yaml`.

    Raises:
        ValueError: if it is none of these, or the name is one of the built-in ones.

    >>> parse_network("dino=weights/{fold}/dino.safetensors", "encoder").name
    'dino'
    """
    name, equals, source = text.partition("=")
    if not equals or not source or not NAME.fullmatch(name) or name in (RANDOM, PUBLIC):
        raise ValueError(
            f"--{role}: expected NAME=FILE with a name of letters, digits, '_', '.' or '-' that is not "
            f"'{RANDOM}' or '{PUBLIC}', got {text!r}"
        )
    return FrozenNetwork(name, role, source)


def built_in(overlays: Sequence[str | Path], role: Role, settings: Mapping[str, Any]) -> list[FrozenNetwork]:
    """The configuration's own network filled at random, and with its public weights where they are present.

    Args:
        overlays: names of configurations, `train` first.
        role: of the network.
        settings: that replace the configurations' own, such as `preset` and `weights_dir`.
    """
    bundle = Bundle(overlays, settings)
    network: dict[str, Any] = bundle.plain("model")[role]
    if "seed" in network:  # the preset `tiny` has random networks only
        return [FrozenNetwork(RANDOM, role)]
    found = [FrozenNetwork(RANDOM, role, overlay={f"changes::{role}": {**network, **_random(role)}})]
    try:
        find_weights(network["name"], bundle.part("weights_dir"))  # asks the disk, never the network
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
    # the one beside counts: it can be corrected by hand
    card = read_card_file(beside) if beside.is_file() else read_card(path)
    if card is None:
        raise FileNotFoundError(f"{path}: expected its model card beside it, {beside.name}, got none")
    return {key: card["create_vit"][key] for key in ARCHITECTURE}


def _random(role: Role) -> dict[str, Any]:
    """Arguments of `create_vit` for random values, as in the preset `tiny`: queries can address places."""
    return {"seed": SEEDS[role], "positions": "sincos"}


def _place(role: Role, network: dict[str, Any]) -> dict[str, Any]:
    depth = network["depth"]
    if role == "encoder":
        return {"changes::encoder": network, "changes::encoder_blocks": encoder_blocks(depth)}
    return {
        "changes::perceptual": network,
        "changes::loss_blocks": loss_blocks(depth),
        "changes::score_blocks": score_blocks(depth),
        "changes::metric": "cosine",
    }
