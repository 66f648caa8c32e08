"""Builders hold sizes, and where the values of a frozen network come from has one order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.model import (
    create_autoencoder,
    create_distance,
    create_frozen,
    create_qfae,
    create_scorer,
    model_settings,
)
from qfae_monai.weights import save_checkpoint

TINY = model_settings("tiny")


def test_a_network_is_of_the_sizes_named() -> None:
    network = create_qfae("tiny", grid=8, decoder_depth=1, out_channels=3).eval()
    assert network.qformer.queries.shape[-2:] == (64, 128)
    assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("image_size", [64, 128])
def test_a_plain_autoencoder_has_its_encoders_grid(image_size: int) -> None:
    network = create_autoencoder(model_settings("tiny", {"image_size": image_size, "grid": 5}))
    assert network(torch.zeros(1, 1, image_size, image_size)).shape == (1, 3, image_size, image_size)


def test_autoencoder_is_frozen_and_has_one_encoder() -> None:
    numbers = model_settings("tiny")
    assert not any(weight.requires_grad for weight in create_autoencoder(numbers).trunk.parameters())
    with pytest.raises(ValueError, match="encoder: expected one without a bottleneck, got 2"):
        create_autoencoder({**numbers, "encoder": [numbers["encoder"]] * 2})


def test_two_encoders_are_two_of_a_list() -> None:
    assert len(create_qfae("tiny", encoder=[TINY["encoder"], TINY["perceptual"]]).encoders) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": 5}, "image_size 64 is not divisible by grid 5"),
        ({"dimm": 5}, "got 'dimm'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_qfae("tiny", **changes)


def test_numbers_that_an_earlier_model_had_not_are_the_papers_and_others_are_refused() -> None:
    earlier = {name: value for name, value in TINY.items() if name != "token_dropout"}
    assert create_qfae(earlier).token_dropout == model_settings("paper")["token_dropout"]
    with pytest.raises(ValueError, match="got 'depth_of_field'"):
        create_qfae({**TINY, "depth_of_field": 1})


def test_loss_and_score_share_a_network_and_differ_in_their_output() -> None:
    trunk = create_frozen(TINY["perceptual"], image_size=64)
    loss, score = (create_distance("tiny", role, trunk=trunk) for role in ("loss", "score"))
    image = torch.rand(2, 1, 64, 64)
    assert loss(image, image.flip(3)).shape == ()
    assert score(image, image.flip(3)).shape == (2, 1, 64, 64)
    assert create_scorer("tiny", score)(image, image).score.shape == (2,)


def test_a_file_of_frozen_values_counts_more_than_all_others(tmp_path: Path) -> None:
    def first(**arguments: Any) -> torch.Tensor:
        return next(create_frozen(TINY["perceptual"], image_size=64, **arguments).parameters())

    other = create_frozen(TINY["perceptual"] | {"seed": 5}, image_size=64)
    save_checkpoint(tmp_path / "values.safetensors", other.state_dict())
    expected = next(other.parameters())
    assert torch.equal(first(weights=tmp_path), first())  # a seed needs no weights
    assert not torch.equal(first(), expected)
    assert torch.equal(first(weights="checkpoint", frozen=tmp_path / "values.safetensors"), expected)
    assert first(weights="checkpoint").isnan().all()
