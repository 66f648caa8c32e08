"""A timm vision transformer whose weights are never a surprise: a file, a seed, a checkpoint to come, or an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor

from qfae_monai.networks.patches import sincos_positions
from qfae_monai.weights.catalogue import find_entry
from qfae_monai.weights.checkpoints import read_checkpoint
from qfae_monai.weights.checksums import verify_file
from qfae_monai.weights.released import load_matching, shape_differences, summarise
from qfae_monai.weights.sources import find_weights

CHECKPOINT = "checkpoint"
HEAD = "head."  # a classifier or a CLIP projection, which this method never uses


def create_vit(
    name: str,
    *,
    weights: str | os.PathLike | None = None,
    seed: int | None = None,
    bias_std: float | None = None,
    positions: Literal["sincos"] | None = None,
    image_size: int = 224,
    patch_size: int | None = None,
    download: bool = False,
    **architecture: Any,
) -> VisionTransformer:
    """Build a vision transformer without a classifier and fill it.

    Args:
        name: timm name, with or without a pretrained tag ("vit_large_patch14_reg4_dinov2.lvd142m").
        weights: where the values come from:
            None: random, from `seed`;
            "checkpoint": later, from a checkpoint of the whole model; NaN until then;
            "hub": the local Hugging Face cache;
            a file (.safetensors, .pt, .pth, .bin) or a folder that holds `<name>.safetensors`. Where a SHA256SUMS
            lists the file, its sum is checked.
        seed: of random weights; the global random state stays as it is.
        bias_std: standard deviation of the patch embedding's bias in a random network; features then turn around a
            common offset, without which the cosine distance of patches near the mean grey is all noise.
        positions: of a random network; `sincos` for fixed 2D sine-cosine ones, as large as its tokens, and zeros for
            prefix tokens. None leaves timm's random ones, which are lost beside the tokens: 0.02 against 0.9.
        image_size: side of the square input in pixels; the file's position embedding is resampled to it.
        patch_size: side of a patch in pixels, None for the architecture's own; the file's patch embedding is resampled.
        download: with "hub", may the network be asked for what the cache lacks.
        architecture: passed on to timm (`embed_dim`, `depth`, `num_heads`).

    Returns:
        The network in float32 on the CPU, as timm makes it: in train mode and trainable.

    Raises:
        ValueError: if the sizes do not fit, no source of values is given, or the file is damaged, changed or made for
            another architecture.
        WeightsNotFoundError: if the file is not there.
        ConnectionError: if a download was asked for and failed.
    """
    if weights is None and seed is None:
        raise ValueError(
            f"{name}: expected weights (a file, a folder, 'hub', 'checkpoint') or a seed for random ones, got neither"
        )
    if find_entry(name).published_at is not None:  # a name that timm does not know stops here, too
        raise ValueError(f"{name}: expected a vision transformer of timm, found a checkpoint of the whole model")
    # Looked up first: a missing file must not cost the seconds that building a large network takes.
    path = None if weights is None or weights == CHECKPOINT else find_weights(name, weights, download=download)
    if path is not None:
        verify_file(path)
    network = _build(name, image_size, patch_size, architecture, seed=seed, bias_std=bias_std)
    if positions is not None:
        _set_positions(network, name, positions)
    if path is not None:
        _load_file(network, name, path)
    elif weights == CHECKPOINT:
        _fill_with_nan(network)
    return network


def _build(
    name: str,
    image_size: int,
    patch_size: int | None,
    architecture: dict[str, Any],
    *,
    seed: int | None,
    bias_std: float | None,
) -> VisionTransformer:
    if patch_size is not None:
        architecture = {**architecture, "patch_size": patch_size}
    # Only the CPU's generator is forked and seeded: the network is made on the CPU, whatever the default device is.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        try:
            network = timm.create_model(name, pretrained=False, num_classes=0, img_size=image_size, **architecture)
            if bias_std is not None:
                torch.nn.init.normal_(network.get_parameter("patch_embed.proj.bias"), std=bias_std)
        except TypeError as error:  # timm's answer to an argument that the architecture does not have
            raise ValueError(f"{name}: timm cannot build it with {architecture}: {error}") from error
    if not isinstance(network, VisionTransformer):
        raise ValueError(f"{name}: expected a vision transformer of timm, found a {type(network).__name__}")
    side = int(network.patch_embed.patch_size[0])
    if image_size % side:
        raise ValueError(f"{name}: image_size {image_size} is not divisible by patch_size {side}")
    return network


def _set_positions(network: VisionTransformer, name: str, positions: str) -> None:
    """Fill the position embedding; prefix tokens, where they have a place in it, stand nowhere."""
    if positions != "sincos" or network.pos_embed is None:
        raise ValueError(f"{name}: positions: expected None or sincos for a network with positions, got {positions!r}")
    fixed = sincos_positions(network.embed_dim, int(network.patch_embed.grid_size[0]))  # (N, D)
    with torch.no_grad():
        network.pos_embed.zero_()  # (1, prefix + N, D)
        network.pos_embed[0, -len(fixed) :] = fixed


def _load_file(network: VisionTransformer, name: str, path: Path) -> None:
    state = _resample(read_checkpoint(path), network, name, path)
    state = {key: value for key, value in state.items() if not key.startswith(HEAD)}
    load_matching(network, state, source=f"{path}, read as {name},")


def _resample(state: dict[str, Tensor], network: VisionTransformer, name: str, path: Path) -> dict[str, Tensor]:
    """Publishers' names to timm's, and patch and position embedding to the network's sizes, by timm itself."""
    try:
        return checkpoint_filter_fn(state, network)
    except Exception as error:  # timm assumes the right architecture, so another one fails somewhere inside
        differences = shape_differences(network.state_dict(), state)
        raise ValueError(
            f"{path}, read as {name}, does not fit {type(network).__name__}: {summarise(differences)}"
        ) from error


def _fill_with_nan(network: VisionTransformer) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(float("nan"))
