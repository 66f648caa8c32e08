"""Decoding of an encoder's own tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from qfae_monai.model import create_qfae
from qfae_monai.networks.token_decoder import Decoded

SEEDED = {"name": "vit_tiny_patch16_224", "patch_size": 8, "depth": 3, "num_heads": 2, "embed_dim": 32, "seed": 1}
TOKENS = {"image_size": 32, "encoder": SEEDED, "encoder_blocks": [1], "target_blocks": [[0], [1, 2]], "dim": 32}
SMALL = {**TOKENS, "queries": 3, "decoder_heads": 2, "decoder_depth": 1}


def network(**changes: Any) -> Any:
    torch.manual_seed(0)
    return create_qfae("dinov2_small", **{**SMALL, **changes}).eval()


def test_any_number_of_queries_gives_a_token_for_each_patch_and_group() -> None:
    found = network()(torch.randn(2, 1, 32, 32))
    assert isinstance(found, Decoded)
    assert found.image.shape == (2, 3, 32, 32)
    assert found.tokens.shape == found.target.shape == found.encoded.shape == (2, 2, 16, 32)  # 4 x 4 patches


def test_states_stand_for_the_image() -> None:
    made = network()
    image = torch.randn(2, 1, 32, 32)
    for of_image, of_states in zip(made(image), made(made.states(image)), strict=True):
        torch.testing.assert_close(of_image, of_states)


def test_a_block_that_is_read_twice_runs_and_is_kept_once() -> None:
    made = network()
    assert made.encoders[0].read == (1, 0, 2)  # block 1 is read, and decoded
    (states,) = made.states(torch.randn(1, 1, 32, 32))
    assert states.shape[1] == 3 * 17  # three blocks of a class token and 16 patches


def test_the_target_is_whitened_by_normal_images() -> None:
    made = network()
    images = torch.randn(40, 1, 32, 32)
    made.fit_target(lambda: images)
    target = made(images).target  # (M, G, N, D)
    assert float(target.mean(0).abs().max()) < 1e-3
    assert float((target.var((0, 2)) - 1).abs().max()) < 0.5  # directions that hardly vary are held down
    again = network()
    again.load_state_dict(made.state_dict())  # a checkpoint holds it
    torch.testing.assert_close(again(images[:2]).target, made(images[:2]).target)


def test_the_picture_moves_nothing_else() -> None:
    made = network().train()
    made(torch.randn(2, 1, 32, 32)).image.sum().backward()
    moved = {
        name for name, weight in made.named_parameters() if weight.grad is not None and weight.grad.abs().sum() > 0
    }
    assert moved == {"decoder.picture.weight", "decoder.picture.bias"}


def test_a_picture_can_stand_in_for_the_reconstruction() -> None:
    made, image = network(), torch.randn(3, 1, 32, 32)
    same = made.stand_in(image, image)
    torch.testing.assert_close(same.tokens, same.target)
    mean = made.stand_in(image.mean(0, keepdim=True), image)
    assert float((mean.tokens - mean.target).abs().mean()) > 0.01
    pixels: Any = create_qfae("tiny").stand_in(torch.zeros(1, 1, 64, 64), torch.ones(2, 1, 64, 64))
    assert pixels.shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queries": None}, "expected a number of queries and groups of blocks"),
        ({"target_blocks": []}, "expected a number of queries and groups of blocks"),
        ({"decodes": "words"}, "decodes: expected pixels or tokens, got 'words'"),
        ({"target_blocks": [[7]]}, "block 7 is out of range"),
        ({"encoder": [SEEDED, SEEDED]}, "expected one encoder, whose tokens are decoded, got 2"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**changes)
