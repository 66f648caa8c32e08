"""Rows at other sizes, and the weights that they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.experiments.rows import find_row, load_rows
from qfae_monai.experiments.sizes import check_weights, needed_weights, row_settings
from qfae_monai.model.presets import model_settings
from qfae_monai.weights import WeightsNotFoundError

DINO, MAE = "vit_large_patch14_reg4_dinov2.lvd142m", "vit_large_patch16_224.mae"


def test_the_paper_has_its_own_size() -> None:
    assert all(row_settings(row, "paper") == {} for row in load_rows())


def test_blocks_lie_at_the_same_depth() -> None:
    small = model_settings("small")
    assert row_settings(find_row("qfae-resc"), "small") == {
        "changes::loss_blocks": small["loss_blocks"],
        "changes::score_blocks": small["score_blocks"],
    }
    two, three = (row_settings(find_row(name), "tiny") for name in ("table-2b-max", "table-2c-three-blocks"))
    assert (two["changes::score_blocks"], three["changes::score_blocks"]) == ([0, 1], [1, 2, 3])


def test_a_rehearsal_needs_no_weights_and_tells_encoders_apart() -> None:
    assert {name for row in load_rows() for name in needed_weights(row, "tiny")} == set()
    encoders = [row_settings(row, "tiny").get("changes::encoder") for row in load_rows(table="4")]
    assert all(encoders.count(one) == 1 for one in encoders)


def test_needed_weights_are_the_encoders_and_the_perceptual_network() -> None:
    assert needed_weights(find_row("qfae-resc")) == [DINO, MAE]
    assert needed_weights(find_row("encoder-mae-large")) == [MAE]
    assert needed_weights(find_row("encoder-dinov2-large-dino-base")) == [DINO, "vit_base_patch8_224.dino", MAE]
    assert needed_weights(find_row("qfae-resc"), "small") == [
        "vit_base_patch14_reg4_dinov2.lvd142m",
        "vit_base_patch16_224.mae",
    ]


def test_missing_weights_are_named(tmp_path: Path) -> None:
    rows, settings = load_rows(table="5"), {"weights_dir": str(tmp_path)}
    with pytest.raises(WeightsNotFoundError, match=f"weights of 2 networks not found in .*: {DINO}, {MAE}"):
        check_weights(rows, "paper", settings)
    (tmp_path / f"{DINO}.safetensors").touch()
    with pytest.raises(WeightsNotFoundError, match=f"qfae weights fetch {MAE}"):
        check_weights(rows, "paper", settings)
    (tmp_path / f"{MAE}.safetensors").touch()
    check_weights(rows, "paper", settings)


def test_a_rehearsal_looks_for_no_weights(tmp_path: Path) -> None:
    check_weights(load_rows(), "tiny", {"weights_dir": str(tmp_path)})


def test_a_preset_that_decodes_no_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="--preset: expected one of paper, small, tiny, got 'dinov2_small'"):
        row_settings(find_row("qfae-resc"), "dinov2_small")
