"""A row of the paper at another size: `small` for one consumer GPU, `tiny` as a rehearsal that needs no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

from qfae_monai.experiments.rows import CHANGES, ExperimentRow
from qfae_monai.files.configurations import OWN
from qfae_monai.model.presets import MODELS, SEEDED, model_settings
from qfae_monai.weights import WeightsNotFoundError, find_weights

DEPTHS = {"paper": 24, "small": 12, "tiny": 4}
"""Blocks of the perceptual network, by preset."""
BLOCKS = ("loss_blocks", "score_blocks")
PATCH_SIZES = ("loss_patch_sizes", "score_patch_sizes")
TINY_PATCHES = {8: 4, 16: 8, 32: 16, 56: 32}  # of 224 pixels -> of 64 pixels


def row_settings(row: ExperimentRow, preset: str) -> dict[str, Any]:
    """Settings, by key, that fit what a row names to a preset: blocks at the same depth, patches, encoders.

    Whatever the row computes from the preset itself is left alone. The encoders of `tiny` are random, a seed for each
    name.

    Raises:
        ValueError: for a preset that no row fits.

    >>> row = ExperimentRow("a", (), "", "resc", None, changes={"score_blocks": [5, 11]})
    >>> row_settings(row, "small")["changes::score_blocks"]
    [2, 5]
    """
    if preset not in DEPTHS:
        raise ValueError(f"--preset: expected one of {', '.join(DEPTHS)}, got {preset!r}")
    if preset == "paper":
        return {}
    numbers = model_settings("paper", row.changes)
    depth, full = DEPTHS[preset], DEPTHS["paper"]
    found: dict[str, Any] = {
        key: [block * depth // full for block in numbers[key]] for key in BLOCKS if _is_plain(numbers[key])
    }
    if preset == "tiny":
        found["perceptual"] = MODELS["tiny"]["perceptual"] | {"depth": depth}
        found |= {key: [TINY_PATCHES[size] for size in numbers[key]] for key in PATCH_SIZES if _is_plain(numbers[key])}
        if "encoder" in row.changes:
            found["encoder"] = [_stand_in(one["name"]) for one in _networks(row.changes["encoder"])]
    return {f"{CHANGES}{key}": value for key, value in found.items()}


def needed_weights(row: ExperimentRow, preset: str = "paper") -> list[str]:
    """Names of the frozen networks whose weights a row needs: its encoders, then the perceptual network."""
    sized = {key.removeprefix(CHANGES): value for key, value in row_settings(row, preset).items()}
    numbers = model_settings(preset, {**row.changes, **sized})
    networks = [*_networks(numbers["encoder"]), numbers["perceptual"]]
    return list(dict.fromkeys(network["name"] for network in networks if "seed" not in network))


def check_weights(rows: Sequence[ExperimentRow], preset: str, settings: Mapping[str, Any]) -> None:
    """Refuse rows whose weights are not there.

    Args:
        rows, preset: what is to be run.
        settings: of the bundle, of which `weights_dir` counts; if they name networks, the training looks for those.

    Raises:
        WeightsNotFoundError: naming every network that is missing, and how to get it.
    """
    if any(key.startswith((f"{CHANGES}encoder", f"{CHANGES}perceptual", "encoder_weights")) for key in settings):
        return
    folder = settings.get("weights_dir", OWN / "models" / "pretrained")
    missing: dict[str, WeightsNotFoundError] = {}
    for name in dict.fromkeys(name for row in rows for name in needed_weights(row, preset)):
        try:
            find_weights(name, folder)
        except WeightsNotFoundError as error:
            missing[name] = error
    if len(missing) > 1:
        raise WeightsNotFoundError(
            f"weights of {len(missing)} networks not found in {folder}: {', '.join(missing)}. On a connected machine, "
            f"for each: qfae weights fetch NAME --output {folder}"
        )
    for alone in missing.values():
        raise alone


def _networks(network: Any) -> list[Mapping[str, Any]]:
    return [network] if isinstance(network, Mapping) else list(network)


def _stand_in(name: str) -> dict[str, Any]:
    return {**SEEDED, "seed": crc32(name.encode()), "embed_dim": 128}


def _is_plain(value: Any) -> bool:
    return not isinstance(value, str)  # `$...` is computed from the preset
