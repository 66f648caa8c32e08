"""Every row of the paper's tables: it builds, trains a step, evaluates, and does what distinguishes it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from monai.bundle import ConfigParser

from qfae_monai.experiments.rows import ExperimentRow, find_row, load_rows
from qfae_monai.experiments.sizes import row_settings
from qfae_monai.files.configurations import read_configuration
from qfae_monai.model.bundle import configuration_file, parse_settings
from qfae_monai.networks import QFAE, FrozenViT, PlainAutoencoder
from qfae_monai.weights import save_checkpoint

ROWS = {row.name: row for row in load_rows()}
NARROW = {"preset": "paper", "changes::dim": 16, "changes::decoder_heads": 2, "weights_dir": "checkpoint"}
"""The paper's own depths, patches and tokens in little time, where the frozen networks are narrow, too."""
STEP = {
    "preset": "tiny",
    "num_workers": 0,
    "max_epochs": 1,
    "batch_size": 1,
    "train::dataset::data": "$data.image_folder_datalist(@dataset_dir, 'train')[:1]",
}
SCORES_ALONE = {
    "rivals": "$None",
    "save_pictures": False,
    "validate::handlers": ["@load", "@case_tables", "@run_record"],
}
"""An evaluation without its report."""
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
    found.update(settings)
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


def pair(patch: int, depth: int) -> Callable[[ConfigParser], bool]:
    """DINOv2 ViT-L/14 with registers, then a network of that patch and depth with a class token."""
    wanted = [(24, 522), (depth, 2 * (1 + (224 // patch) ** 2))]
    return lambda parser: [(len(one.trunk.blocks), one.num_tokens) for one in encoders(parser)] == wanted


def both(*checks: Callable[[ConfigParser], bool]) -> Callable[[ConfigParser], bool]:
    return lambda parser: all(check(parser) for check in checks)


def loss(blocks: tuple[int, ...], patch_sizes: tuple[int, ...]) -> Callable[[ConfigParser], bool]:
    """The perceptual loss looks at these blocks and patches."""

    def check(parser: ConfigParser) -> bool:
        built = parser.get_parsed_content("loss_def")
        built = getattr(built, "losses", [built])[-1]
        return (built.blocks, built.patch_sizes) == (blocks, patch_sizes)

    return check


def plain(parser: ConfigParser) -> bool:
    """The frozen encoder's 16 x 16 tokens of 14 pixels go to a decoder of that grid; L1 loss, perceptual map."""
    network = parser.get_parsed_content("network_def")
    frozen = not any(weight.requires_grad for weight in network.trunk.parameters())
    decoder = (network.decoder.grid, network.decoder.patch_size, len(network.trunk.blocks))
    return isinstance(network, PlainAutoencoder) and frozen and decoder == (16, 14, 12) and both(BASE, l1_loss)(parser)


def l1_map(parser: ConfigParser) -> bool:
    return isinstance(parser.get_parsed_content("scorer").distance, torch.nn.L1Loss)


def metric(name: str) -> Callable[[ConfigParser], bool]:
    return lambda parser: parser.get_parsed_content("loss_def").metric == name and scorer(metric=name)(parser)


def additional_block(parser: ConfigParser) -> bool:
    """Sixteen heads and no bias in the fused projection, as in the released implementation."""
    attention: Any = encoders(parser)[0].additional_block.get_submodule("attn")
    return attention.num_heads == 16 and attention.qkv.bias is None


def queries(number: int, patch: int) -> Callable[[ConfigParser], bool]:
    def check(parser: ConfigParser) -> bool:
        network = parser.get_parsed_content("network_def")
        return (network.qformer.queries.shape[1], network.decoder.patch_size) == (number, patch)

    return check


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


BASE = scorer(blocks=(5, 11), patch_sizes=(16, 32, 56), score_over_pixels="mean", score_over_layers="mean")
"""How Tables 1 and 2a score, before Tables 2b and 2c."""
MAXIMUM = scorer(blocks=(5, 11), patch_sizes=(16, 32, 56), score_over_pixels="max", score_over_layers="mean")
CHOSEN = scorer(blocks=(11, 15, 19), patch_sizes=(16, 32, 56), score_over_pixels="max", score_over_layers="mean")
l1_loss = losses("L1Loss")
L14 = trunk("vit_large_patch14_reg4_dinov2.lvd142m", 14, 5, 24)
B14 = trunk("vit_base_patch14_reg4_dinov2.lvd142m", 14, 5, 12)
BEFORE_TABLE_3 = loss((15, 19), (16, 32, 56))
DISTINGUISHES: dict[str, Callable[[ConfigParser], bool]] = {
    "table-1-autoencoder": plain,
    "table-1-qformer-mae": both(B14, l1_loss, BASE),
    "table-1-qformer-perceptual": both(B14, BEFORE_TABLE_3, BASE),
    "table-2a-mae": both(L14, l1_loss, BASE),
    "table-2a-mae-perceptual": both(L14, losses("L1Loss", "PerceptualLoss"), BEFORE_TABLE_3, BASE),
    "table-2a-perceptual": both(L14, BEFORE_TABLE_3, BASE),
    "table-2b-max": both(L14, BEFORE_TABLE_3, MAXIMUM),
    "table-2c-three-blocks": both(L14, BEFORE_TABLE_3, CHOSEN, queries(784, 8)),
    "table-2d-patch-16": both(L14, BEFORE_TABLE_3, CHOSEN, queries(196, 16)),
    "table-2d-patch-32": both(L14, BEFORE_TABLE_3, CHOSEN, queries(49, 32)),
    "table-3-patch-16": both(L14, loss((15, 19), (16,)), CHOSEN),
    "table-3-patch-56": both(L14, loss((15, 19), (56,)), CHOSEN),
    "table-3-patches-32-56": both(default, loss((15, 19), (32, 56))),
    "encoder-clip-large": trunk("vit_large_patch14_clip_224.laion2b", 14, 1, 24),
    "encoder-dino-base": trunk("vit_base_patch8_224.dino", 8, 1, 12),
    "encoder-mae-large": trunk("vit_large_patch16_224.mae", 16, 1, 24),
    "encoder-dinov2-large-clip-base": pair(32, 12),
    "encoder-dinov2-large-clip-large": pair(14, 24),
    "encoder-dinov2-large-dino-base": pair(8, 12),
    "encoder-dinov2-large-mae-base": pair(16, 12),
    "encoder-dinov2-large-mae-large": pair(16, 24),
    "qfae-brats2021": both(default, loss((15, 19), (32, 56))),
    "qfae-resc": default,
    "qfae-rsna": reduced("mean", "max"),
    "qfae-liverct": scorer(patch_sizes=(8, 16), blocks=(11, 15, 19), score_over_pixels="max"),
    "table-8-main": default,
    "table-8-canvas": default,
    "ablation-additional-block": additional_block,
    "ablation-consensus-none": scorer(consensus="none", num_maps=9),
    "ablation-decoder-depth-12": lambda parser: len(parser.get_parsed_content("network_def").decoder.blocks) == 12,
    "ablation-encoder-clip-base": trunk("vit_base_patch32_clip_224.laion2b", 32, 1, 12),
    "ablation-encoder-dinov2-base": trunk("vit_base_patch14_dinov2.lvd142m", 14, 1, 12),
    "ablation-encoder-dinov2-base-registers": B14,
    "ablation-encoder-mae-base": trunk("vit_base_patch16_224.mae", 16, 1, 12),
    "ablation-encoder-state-1": lambda parser: encoders(parser)[0].blocks == (23,),
    "ablation-encoder-state-2": lambda parser: encoders(parser)[0].blocks == (22,),
    "ablation-loss-mse": losses("MSELoss"),
    "ablation-loss-ssim": losses("SSIMLoss"),
    "ablation-map-max": scorer(map_over_layers="max"),
    "ablation-metric-l1": metric("l1"),
    "ablation-metric-l2": metric("l2"),
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
@pytest.mark.parametrize("name", sorted(ROWS))
def test_row_trains_a_step_and_scores_two_images(name: str, images: Path, tmp_path: Path) -> None:
    places: dict[str, Any] = {
        "dataset_dir": str(images),
        "ckpt_path": str(tmp_path / "model.pt"),
        "model_dir": str(tmp_path),
        "output_dir": str(tmp_path / "out"),
    }
    settings = {**STEP, **row_settings(ROWS[name], "tiny"), **places}
    training = parser(*ROWS[name].overlays(), **settings)
    trainer = training.get_parsed_content("train::trainer")
    before = [weight.detach().clone() for weight in trainer.network.parameters() if weight.requires_grad]
    trainer.run()
    after = [weight for weight in trainer.network.parameters() if weight.requires_grad]
    assert trainer.state.iteration == 1
    assert torch.isfinite(trainer.state.output[0]["loss"])
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    save_checkpoint(tmp_path / "model.pt", trainer.network.state_dict())

    evaluating = parser(*ROWS[name].overlays(), "evaluate", **settings, **SCORES_ALONE)
    evaluating.get_parsed_content("initialize")
    evaluating.get_parsed_content("run")
    with (tmp_path / "out" / "slices.csv").open(newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert len(scores) == 2
    assert len(set(scores)) > 1
    assert isinstance(trainer.network, PlainAutoencoder if name == "table-1-autoencoder" else QFAE)


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("name", sorted(ROWS))
def test_row_is_what_it_says(name: str) -> None:
    assert DISTINGUISHES[name](parser(*ROWS[name].overlays(), **NARROW))


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("other", sorted({other for row in ROWS.values() for other in row.others}))
def test_other_reading_of_a_row_is_another_model(other: str) -> None:
    (key,) = changed = parse_settings([other])
    top = key.split("::")[0]
    for row in (one for one in ROWS.values() if other in one.others):
        own, taken = (parser(*row.overlays(), **{**NARROW, **settings}) for settings in ({}, changed))
        assert own.get(top) != taken.get(top), row.name
    for part in ("network_def", "loss_def", "scorer"):  # of the last
        taken.get_parsed_content(part)


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("name", sorted(ROWS))
def test_row_fits_the_small_preset(name: str) -> None:
    settings = {"preset": "small", "weights_dir": "checkpoint", **row_settings(ROWS[name], "small")}
    built = parser(*ROWS[name].overlays(), **settings)
    for part in ("network_def", "loss_def", "scorer"):
        built.get_parsed_content(part)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.trained_by], ids=lambda row: row.name)
def test_shared_training_differs_in_scoring_alone(row: ExperimentRow) -> None:
    trainer = find_row(str(row.trained_by))
    assert trainer.trained_by is None
    assert trainer.data == row.data
    own, other = (
        {key: value for key, value in read_configuration(path).items() if key not in SCORING}
        for path in (configuration_file(f"experiments/{one.name}") for one in (row, trainer))
    )
    assert own == other


def test_rows_that_train_alike_share_their_training() -> None:
    alone = [row for row in ROWS.values() if row.trained_by is None]
    trainings = [
        (row.data, {key: value for key, value in read_configuration(path).items() if key not in SCORING})
        for row, path in ((row, configuration_file(f"experiments/{row.name}")) for row in alone)
    ]
    for number, one in enumerate(trainings):
        assert one not in trainings[:number], alone[number].name
