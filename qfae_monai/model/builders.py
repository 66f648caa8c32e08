"""Named builders of the method's parts, as `vit_large_patch14` in timm: nobody repeats their sizes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from qfae_monai.anomaly import AnomalyScorer, PerceptualLoss, TokenDistance, VolumeScore
from qfae_monai.anomaly.normals import Normals
from qfae_monai.model.presets import model_settings, score_layers
from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, PlainAutoencoder, QFormer
from qfae_monai.networks.execution import Checkpointing
from qfae_monai.networks.grey import normalized
from qfae_monai.networks.precision import Precision
from qfae_monai.networks.token_decoder import TokenDecoder
from qfae_monai.weights import create_vit
from qfae_monai.weights.vit import CHECKPOINT

Settings = str | Mapping[str, Any]
"""Name of a preset, or all numbers of a model as `model_settings` gives them."""
Weights = str | os.PathLike | None


def create_qfae(
    settings: Settings = "paper",
    *,
    weights: Weights = None,
    precision: Precision = "float32",
    compile: bool = False,
    checkpointing: Checkpointing = "none",
    **changes: Any,
) -> QFAE:
    """Build a Q-Former Autoencoder.

    Args:
        settings: `paper`, `small`, `tiny`, or the numbers of a model by name.
        weights: of the frozen encoder, as in `create_vit`: a file or folder, `hub`, `checkpoint` for values that come
            from a checkpoint of the whole network, None for a preset whose encoder is random of a fixed seed.
        precision, compile: as in `QFAE`.
        checkpointing: of the decoder, as in `PatchDecoder`.
        changes: numbers that replace the preset's.

    Raises:
        ValueError: for an unknown preset or number, or sizes that do not fit together.
        WeightsNotFoundError: if the encoder's weights are not there.

    >>> import torch
    >>> network = create_qfae("tiny", dim=64)
    >>> network(torch.zeros(1, 1, 64, 64)).shape
    torch.Size([1, 3, 64, 64])
    """
    numbers = _numbers(settings, changes)
    side, grid, dim = numbers["image_size"], numbers["grid"], numbers["dim"]
    # one or several encoders, whose tokens are joined
    trunks = [numbers["encoder"]] if isinstance(numbers["encoder"], Mapping) else numbers["encoder"]
    encoders = [
        FrozenViT(
            create_frozen(trunk, image_size=side, weights=weights),
            blocks=numbers["encoder_blocks"],
            output_dim=dim,
            additional_block=numbers["additional_block"],
            normalised=numbers["encoder_norm"],
            target_blocks=numbers["target_blocks"],
        )
        for trunk in trunks
    ]
    tokens = _decodes_tokens(numbers)
    qformer = QFormer(
        dim=dim,
        output_dim=numbers["qformer_width"],
        num_queries=numbers["queries"] if tokens else grid**2,  # one query per patch of the decoder's grid
        query_init_std=numbers["query_init_std"],
        query_dropout=numbers["query_dropout"],
        dropout=numbers["qformer_dropout"],
    )
    build = partial(_token_decoder, trunk=encoders[0].trunk) if tokens else _decoder
    decoder = build(numbers, qformer.output_dim, checkpointing)
    return QFAE(
        encoders, qformer, decoder, precision=precision, compile=compile, token_dropout=numbers["token_dropout"]
    )


def create_frozen(
    network: Mapping[str, Any] | None, *, image_size: int, weights: Weights = None, frozen: Weights = None
) -> Any:
    """Build one frozen network, a timm vision transformer.

    Args:
        network: arguments of `create_vit`, None for no network; its own `weights` or `seed` count more than `weights`
            here.
        image_size: side of the square input in pixels.
        weights: as in `create_vit`; with `checkpoint`, whatever the network is otherwise filled from is left alone.
        frozen: file of the values that a trained model was trained with; counts more than all others.

    Raises:
        ValueError, WeightsNotFoundError: as `create_vit`.
    """
    if network is None:  # tokens are compared as they are
        return None
    own = {**network, "image_size": image_size}
    if frozen is not None or weights == CHECKPOINT:
        own["weights"] = CHECKPOINT if frozen is None else frozen
    elif "seed" not in own:  # random networks need no weights
        own.setdefault("weights", weights)
    return create_vit(**own)


def create_autoencoder(
    settings: Settings = "paper",
    *,
    weights: Weights = None,
    frozen: bool = True,
    block: int = -1,
    precision: Precision = "float32",
) -> PlainAutoencoder:
    """Build the autoencoder without a bottleneck of the paper's Table 1.

    Its decoder has the grid of the encoder's patches: the number `grid` is that of queries, of which there are none.

    Args:
        settings, weights, precision: as in `create_qfae`; of one encoder.
        frozen, block: as in `PlainAutoencoder`.

    Raises:
        ValueError, WeightsNotFoundError: as `create_qfae`.
    """
    numbers = _numbers(settings, {})
    trunks = [numbers["encoder"]] if isinstance(numbers["encoder"], Mapping) else numbers["encoder"]
    if len(trunks) != 1:
        raise ValueError(f"encoder: expected one without a bottleneck, got {len(trunks)}")
    trunk = create_frozen(trunks[0], image_size=numbers["image_size"], weights=weights)
    numbers["grid"] = trunk.patch_embed.grid_size[0]
    decoder = _decoder(numbers, trunk.embed_dim, "none")
    return PlainAutoencoder(trunk, decoder, frozen=frozen, block=block, precision=precision)


def create_distance(
    settings: Settings = "paper",
    role: Literal["loss", "score"] = "loss",
    *,
    trunk: VisionTransformer | None = None,
    weights: Weights = None,
    precision: Precision = "float32",
    compile: bool = False,
    **changes: Any,
) -> PerceptualLoss | TokenDistance:
    """Build the distance that is trained with, or the one that maps are made of: perceptual, or of decoded tokens.

    Args:
        settings, precision, compile, changes: as in `create_qfae`.
        role: `loss` gives a scalar from the blocks and patches of training, `score` maps from those of scoring.
        trunk: the perceptual network where several distances share it; None to build it.
        weights: of the perceptual network, as in `create_vit`.

    Raises:
        ValueError, WeightsNotFoundError: as `create_qfae`.
    """
    numbers = _numbers(settings, changes)
    if _decodes_tokens(numbers):
        return TokenDistance("none" if role == "score" else "mean")
    if trunk is None:
        trunk = create_frozen(numbers["perceptual"], image_size=numbers["image_size"], weights=weights)
    common: dict[str, Any] = {"metric": numbers["metric"], "precision": precision, "compile": compile}
    if role == "score":
        return PerceptualLoss(
            trunk,
            blocks=numbers["score_blocks"],
            patch_sizes=numbers["score_patch_sizes"],
            consensus=numbers["score_consensus"],
            reduction="none",  # maps (B, L, H, W), not their mean
            **common,
        )
    return PerceptualLoss(
        trunk,
        blocks=numbers["loss_blocks"],
        patch_sizes=numbers["loss_patch_sizes"],
        foreground_weight=numbers["foreground_weight"],
        foreground_above=normalized(numbers["foreground_level"]),  # the network's space, not [0, 1]
        **common,
    )


def create_scorer(
    settings: Settings = "paper",
    distance: nn.Module | None = None,
    *,
    weights: Weights = None,
    normals: str | os.PathLike | Normals | None = None,
    **changes: Any,
) -> AnomalyScorer:
    """Build what turns an image and its reconstruction into a map and a score.

    Args:
        settings, weights, changes: as in `create_distance`.
        distance: that gives maps; None to build the perceptual one.
        normals: what the score knows of normal scans, or its file; used where the settings ask for it.

    Raises:
        ValueError, WeightsNotFoundError: as `create_qfae`.
        FileNotFoundError: if the settings ask for normals, and there is no such file.
    """
    numbers = _numbers(settings, changes)
    known = None
    if numbers["score_standardised"] or numbers["score_neighbours"]:
        if normals is None:
            raise ValueError("normals: expected the file of what the score knows of normal scans, got none")
        known = normals if isinstance(normals, Normals) else Normals.load(normals)
    neighbours = known.neighbours if known is not None and numbers["score_neighbours"] else None
    if numbers["score_neighbours"] and neighbours is None:
        raise ValueError(f"{normals}: expected tokens of normal images to compare with, got none")
    return AnomalyScorer(
        create_distance(numbers, "score", weights=weights) if distance is None else distance,
        score_over_pixels=numbers["score_over_pixels"],
        score_over_layers=numbers["score_over_layers"],
        map_over_layers=numbers["map_over_layers"],
        share=numbers["score_share"],
        body_above=normalized(numbers["foreground_level"]) if numbers["score_body"] else None,
        smoothing=numbers["score_smoothing"],
        layers=score_layers(numbers),
        normals=known.maps if known is not None and numbers["score_standardised"] else None,
        neighbours=neighbours,
    )


def create_volume_score(settings: Settings = "paper", **changes: Any) -> VolumeScore:
    """Build what turns the scores of slices into one of their volume; arguments as in `create_qfae`."""
    numbers = _numbers(settings, changes)
    return VolumeScore(over_slices=numbers["volume_score_over_slices"], k=numbers["volume_score_k"])


def _decoder(numbers: Mapping[str, Any], input_dim: int, checkpointing: Checkpointing) -> PatchDecoder:
    side, grid = numbers["image_size"], numbers["grid"]
    if side % grid:
        raise ValueError(f"image_size {side} is not divisible by grid {grid}")
    return PatchDecoder(
        input_dim=input_dim,
        grid=grid,
        patch_size=side // grid,  # pixels
        dim=numbers["dim"],
        depth=numbers["decoder_depth"],
        heads=numbers["decoder_heads"],
        num_registers=numbers["decoder_registers"],
        out_channels=numbers["out_channels"],
        checkpointing=checkpointing,
    )


def _token_decoder(
    numbers: Mapping[str, Any], input_dim: int, checkpointing: Checkpointing, *, trunk: VisionTransformer
) -> TokenDecoder:
    return TokenDecoder(
        input_dim=input_dim,
        grid=trunk.patch_embed.grid_size[0],
        patch_size=trunk.patch_embed.patch_size[0],  # pixels
        token_dim=trunk.embed_dim,
        groups=len(numbers["target_blocks"]),
        whiten_directions=numbers["whiten_directions"],
        dim=numbers["dim"],
        depth=numbers["decoder_depth"],
        heads=numbers["decoder_heads"],
        checkpointing=checkpointing,
    )


def _decodes_tokens(numbers: Mapping[str, Any]) -> bool:
    """Whether tokens are decoded, and not pixels.

    Raises:
        ValueError: for a word that says neither, or tokens without queries or blocks.
    """
    if numbers["decodes"] not in ("pixels", "tokens"):
        raise ValueError(f"decodes: expected pixels or tokens, got {numbers['decodes']!r}")
    tokens = numbers["decodes"] == "tokens"
    if tokens and not (numbers["queries"] and numbers["target_blocks"]):
        raise ValueError(
            "queries, target_blocks: expected a number of queries and groups of blocks to decode tokens, got "
            f"{numbers['queries']} and {numbers['target_blocks']}"
        )
    return tokens


def _numbers(settings: Settings, changes: Mapping[str, Any]) -> dict[str, Any]:
    """All numbers; a model of an earlier version, which had fewer, did what the paper's values of the others do."""
    if isinstance(settings, str):
        return model_settings(settings, changes)
    return model_settings("paper", {**settings, **changes})
