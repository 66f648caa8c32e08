"""Every row of the paper's tables: it builds, trains a step, evaluates, and does what distinguishes it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from monai.bundle import ConfigParser

from qfae_monai.experiments.rows import load_rows
from qfae_monai.files.configurations import read_configuration
from qfae_monai.model.bundle import configuration_file
from qfae_monai.networks import QFAE, FrozenViT, PlainAutoencoder
from qfae_monai.weights import save_checkpoint

ROWS = {row.name: row for row in load_rows()}
SMALL = {"preset": "paper", "changes::dim": 16, "changes::decoder_heads": 2, "num_workers": 0}
STEP = {
    "max_epochs": 1,
    "batch_size": 1,
    "train::dataset::data": "$data.image_folder_datalist(@dataset_dir, 'train')[:1]",
}
SCORING = {
    "changes::score_blocks",
    "changes::score_patch_sizes",
    "changes::score_consensus",
    "changes::score_over_pixels",
    "changes::score_over_layers",
    "changes::map_over_layers",
    "score_distance",
    "_row_",
}


def parser(*names: str, **settings: Any) -> ConfigParser:
    """The bundle's configurations of those names, with settings on top."""
    found = ConfigParser()
    found.read_config([str(configuration_file(name)) for name in names])
    found.update({**SMALL, **settings})
    return found


def encoders(parser: ConfigParser) -> list[FrozenViT]:
    return cast(list[FrozenViT], list(parser.get_parsed_content("network_def").encoders))


def trunk(name: str, patch: int, prefix: int, depth: int) -> Callable[[ConfigParser], bool]:
    """The one encoder is that network: patch size, prefix tokens, depth, and tokens of two blocks."""

    def check(parser: ConfigParser) -> bool:
        (encoder,) = encoders(parser)
        vit = encoder.trunk
        tokens = 2 * (prefix + (224 // patch) ** 2)
        found = (vit.patch_embed.patch_size, vit.num_prefix_tokens, len(vit.blocks), encoder.num_tokens)
        return (
            found == ((patch, patch), prefix, depth, tokens)
            and parser.get_parsed_content("model")["encoder"]["name"] == name
        )

    return check


def scorer(**expected: Any) -> Callable[[ConfigParser], bool]:
    """The scorer or its distance has these attributes."""

    def check(parser: ConfigParser) -> bool:
        built = parser.get_parsed_content("scorer")
        return all(getattr(built, key, getattr(built.distance, key, None)) == value for key, value in expected.items())

    return check


def losses(*names: str) -> Callable[[ConfigParser], bool]:
    """The training loss is the sum of losses of these classes."""
    return lambda parser: [type(loss).__name__ for loss in parser.get_parsed_content("loss_def").losses] == [*names]


def default(parser: ConfigParser) -> bool:
    """The paper's own: 784 queries over the tokens of one encoder (section 3; 522 of them), cosine, max, then mean."""
    network = parser.get_parsed_content("network_def")
    return (
        network.num_tokens == 522
        and network.qformer.queries.shape[1] == 784
        and scorer(
            blocks=(11, 15, 19),
            patch_sizes=(16, 32, 56),
            metric="cosine",
            consensus="product",
            score_over_pixels="max",
            score_over_layers="mean",
            map_over_layers="mean",
        )(parser)
    )


def pair(parser: ConfigParser) -> bool:
    return [encoder.num_tokens for encoder in encoders(parser)] == [522, 2 * (1 + 28 * 28)]


def plain(parser: ConfigParser) -> bool:
    network = parser.get_parsed_content("network_def")
    trained = sum(weight.requires_grad for weight in network.trunk.parameters())
    return isinstance(network, PlainAutoencoder) and trained > 0 and l1_map(parser)


def l1_map(parser: ConfigParser) -> bool:
    return isinstance(parser.get_parsed_content("scorer").distance, torch.nn.L1Loss)


def metric(name: str) -> Callable[[ConfigParser], bool]:
    return lambda parser: parser.get_parsed_content("loss_def").metric == name and scorer(metric=name)(parser)


def additional_block(parser: ConfigParser) -> bool:
    """Sixteen heads and no bias in the fused projection, as in the released implementation."""
    attention: Any = encoders(parser)[0].additional_block.get_submodule("attn")
    return attention.num_heads == 16 and attention.qkv.bias is None


def queries(parser: ConfigParser) -> bool:
    network = parser.get_parsed_content("network_def")
    return network.qformer.queries.shape[1] == 196 and network.decoder.patch_size == 16


def robust(**expected: float) -> Callable[[ConfigParser], bool]:
    """These options of robust reconstruction are on, the others off."""
    wanted = {"corruption_std": 0.0, "foreground_weight": 1.0, "query_dropout": 0.0, "token_dropout": 0.0, **expected}

    def check(parser: ConfigParser) -> bool:
        network, loss = parser.get_parsed_content("network_def"), parser.get_parsed_content("loss_def")
        return wanted == {
            "corruption_std": parser.get_parsed_content("corruption").std,
            "foreground_weight": loss.foreground_weight,
            "query_dropout": network.qformer.query_dropout,
            "token_dropout": network.token_dropout,
        }

    return check


def reduced(pixels: str, layers: str) -> Callable[[ConfigParser], bool]:
    return scorer(score_over_pixels=pixels, score_over_layers=layers)


DISTINGUISHES: dict[str, Callable[[ConfigParser], bool]] = {
    "plain-autoencoder": plain,
    "encoder-clip-base": trunk("vit_base_patch32_clip_224.laion2b", 32, 1, 12),
    "encoder-clip-large": trunk("vit_large_patch14_clip_224.laion2b", 14, 1, 24),
    "encoder-dino-base": trunk("vit_base_patch8_224.dino", 8, 1, 12),
    "encoder-dinov2-base": trunk("vit_base_patch14_dinov2.lvd142m", 14, 1, 12),
    "encoder-dinov2-base-registers": trunk("vit_base_patch14_reg4_dinov2.lvd142m", 14, 5, 12),
    "encoder-dinov2-large-dino-base": pair,
    "encoder-dinov2-large-registers": trunk("vit_large_patch14_reg4_dinov2.lvd142m", 14, 5, 24),
    "encoder-mae-base": trunk("vit_base_patch16_224.mae", 16, 1, 12),
    "encoder-mae-large": trunk("vit_large_patch16_224.mae", 16, 1, 24),
    "qfae-brats2021": default,
    "qfae-resc": default,
    "qfae-rsna": reduced("mean", "max"),
    "qfae-liverct": scorer(patch_sizes=(8, 16), blocks=(11, 15, 19)),
    "rsna-max-pixels-max-layers": reduced("max", "max"),
    "rsna-max-pixels-mean-layers": reduced("max", "mean"),
    "rsna-mean-pixels-max-layers": reduced("mean", "max"),
    "rsna-mean-pixels-mean-layers": reduced("mean", "mean"),
    "ablation-additional-block": additional_block,
    "ablation-consensus-none": scorer(consensus="none", num_maps=9),
    "ablation-decoder-depth-12": lambda parser: len(parser.get_parsed_content("network_def").decoder.blocks) == 12,
    "ablation-encoder-state-1": lambda parser: encoders(parser)[0].blocks == (23,),
    "ablation-encoder-state-2": lambda parser: encoders(parser)[0].blocks == (22,),
    "ablation-loss-mae": losses("L1Loss"),
    "ablation-loss-mae-perceptual": losses("L1Loss", "PerceptualLoss"),
    "ablation-loss-mse": losses("MSELoss"),
    "ablation-loss-ssim": losses("SSIMLoss"),
    "ablation-map-max": scorer(map_over_layers="max"),
    "ablation-metric-l1": metric("l1"),
    "ablation-metric-l2": metric("l2"),
    "ablation-queries-196": queries,
    "ablation-score-as-trained": scorer(blocks=(15, 19), patch_sizes=(32, 56)),
    "ablation-score-mae": l1_map,
    "ablation-score-patch-16": scorer(patch_sizes=(16,)),
    "robust-all": robust(corruption_std=0.2, foreground_weight=4.0, query_dropout=0.2, token_dropout=0.5),
    "robust-corruption": robust(corruption_std=0.2),
    "robust-foreground": robust(foreground_weight=4.0),
    "robust-query-dropout": robust(query_dropout=0.2),
    "robust-token-dropout": robust(token_dropout=0.5),
}


def test_every_row_has_its_test() -> None:
    assert ROWS.keys() == DISTINGUISHES.keys()


@pytest.mark.slow
@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("name", sorted(ROWS))
def test_row_trains_and_evaluates_a_step(name: str, images: Path, stand_ins: Path, tmp_path: Path) -> None:
    places: dict[str, Any] = {
        "dataset_dir": str(images),
        "weights_dir": str(stand_ins),
        "ckpt_path": str(tmp_path / "model.pt"),
        "model_dir": str(tmp_path),
        "output_dir": str(tmp_path / "out"),
    }
    training = parser(*ROWS[name].overlays(), **places, **STEP)
    trainer = training.get_parsed_content("train::trainer")
    before = [weight.detach().clone() for weight in trainer.network.parameters() if weight.requires_grad]
    trainer.run()
    after = [weight for weight in trainer.network.parameters() if weight.requires_grad]
    assert trainer.state.iteration == 1
    assert torch.isfinite(trainer.state.output[0]["loss"])
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    save_checkpoint(tmp_path / "model.pt", trainer.network.state_dict())

    evaluating = parser(*ROWS[name].overlays(), "evaluate", **places)
    evaluating.get_parsed_content("initialize")
    evaluating.get_parsed_content("run")
    with (tmp_path / "out" / "slices.csv").open(newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert len(scores) == 2
    assert len(set(scores)) > 1
    assert DISTINGUISHES[name](evaluating)
    assert isinstance(trainer.network, PlainAutoencoder if name == "plain-autoencoder" else QFAE)


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("name", sorted(ROWS))
def test_row_fits_the_small_preset(name: str) -> None:
    built = parser(*ROWS[name].overlays(), preset="small", weights_dir="checkpoint")
    for part in ("network_def", "loss_def", "scorer"):
        built.get_parsed_content(part)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_overlay_is_small(name: str) -> None:
    path = configuration_file(f"experiments/{name}")
    assert len(path.read_text().splitlines()) <= 15


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.trained_by], ids=lambda row: row.name)
def test_shared_training_differs_in_scoring_alone(row: Any) -> None:
    for name in (row.name, row.trained_by):
        assert read_configuration(configuration_file(f"experiments/{name}")).keys() <= SCORING
