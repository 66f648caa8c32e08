"""Frozen encoder: what is frozen, what is run, and what shape comes out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from qfae_monai.networks import FrozenViT
from qfae_monai.networks.encoders import as_three_channels, block_index, hidden_states


def tiny_trunk(**arguments: Any) -> VisionTransformer:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 3, "num_classes": 0}
    return VisionTransformer(**{**sizes, **arguments}).eval()


# [arguments of FrozenViT, number of prefix tokens, shape of the tokens of two 32 x 32 images]
TEST_CASES: list[list[Any]] = [
    [{"blocks": (-1,)}, 1, (2, 17, 24)],
    [{"blocks": (-2, -4), "output_dim": 16}, 5, (2, 42, 16)],
    [{"blocks": (0,), "additional_block": {"num_heads": 2, "mlp_ratio": 2.0}}, 1, (2, 17, 24)],
]


@pytest.mark.parametrize(("arguments", "prefix", "shape"), TEST_CASES)
def test_shape(arguments: dict[str, Any], prefix: int, shape: tuple[int, ...]) -> None:
    encoder = FrozenViT(tiny_trunk(reg_tokens=prefix - 1, no_embed_class=prefix > 1), **arguments)
    tokens = encoder(torch.rand(2, 1, 32, 32))
    assert tokens.shape == shape
    assert (encoder.num_tokens, encoder.output_dim) == shape[1:]
    assert encoder.image_size == (32, 32)


def test_states_are_the_raw_residual_stream_in_the_order_asked_for() -> None:
    trunk, image = tiny_trunk(), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        last, second = hidden_states(trunk, image, [-1, 1])
        torch.testing.assert_close(trunk.norm(last), trunk.forward_features(image))
        (alone,) = hidden_states(trunk, image, [1])
    torch.testing.assert_close(second, alone)
    tokens = FrozenViT(trunk, blocks=(-1, 1))(image)
    torch.testing.assert_close(tokens, torch.cat([last, second], dim=1))


def test_trunk_stays_frozen_and_the_rest_trains() -> None:
    encoder = FrozenViT(
        tiny_trunk(proj_drop_rate=0.5), output_dim=16, additional_block={"num_heads": 2, "mlp_ratio": 1.0}
    )
    encoder.train()
    assert encoder.training
    assert encoder.additional_block.training
    assert not any(module.training for module in encoder.trunk.modules())
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(encoder(image), encoder(image), rtol=0, atol=0)  # no dropout acts
    encoder(image).sum().backward()
    assert all(parameter.grad is None for parameter in encoder.trunk.parameters())
    assert not any(parameter.requires_grad for parameter in encoder.trunk.parameters())
    others = [value for name, value in encoder.named_parameters() if not name.startswith("trunk.")]
    assert others
    assert all(parameter.grad is not None for parameter in others)


def test_normalised_tokens_reach_the_projection_at_one_scale() -> None:
    """Hidden states of some frozen networks are so small that queries would attend to all alike."""
    trunk = tiny_trunk()
    encoder, plain = (FrozenViT(trunk, blocks=(1,), output_dim=16, normalised=how) for how in (True, False))
    plain.projection.load_state_dict(encoder.projection.state_dict())
    states = encoder.states(torch.rand(2, 1, 32, 32))
    torch.testing.assert_close(encoder.project(100 * states), encoder.project(10 * states), rtol=0, atol=1e-3)
    torch.testing.assert_close(encoder.project(states), plain.project(torch.nn.LayerNorm(24)(states)))
    assert not torch.allclose(encoder.project(states), plain.project(states), atol=0.1)


def test_no_block_after_the_last_one_needed_runs() -> None:
    trunk = tiny_trunk()
    ran: list[int] = []
    for number, block in enumerate(trunk.blocks):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    FrozenViT(trunk, blocks=(-2, -4))(torch.rand(1, 3, 32, 32))
    assert ran == [0, 1, 2]


def test_grey_is_three_equal_channels() -> None:
    grey = torch.rand(1, 1, 32, 32)
    encoder = FrozenViT(tiny_trunk(), blocks=(-1,))
    torch.testing.assert_close(encoder(grey), encoder(grey.repeat(1, 3, 1, 1)))
    assert as_three_channels(grey).data_ptr() == grey.data_ptr()


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"block 4 is out of range for a network of 4 blocks: -4\.\.3"):
        FrozenViT(tiny_trunk(), blocks=(4,))
    with pytest.raises(ValueError, match="block -5"):
        block_index(-5, depth=4)
    with pytest.raises(ValueError, match=r"expected an image of \(32, 32\) pixels, got \(32, 40\)"):
        FrozenViT(tiny_trunk(), blocks=(0,))(torch.rand(1, 1, 32, 40))
    with pytest.raises(ValueError, match=r"1 or 3 channels.*\(1, 2, 32, 32\)"):
        FrozenViT(tiny_trunk(), blocks=(0,))(torch.rand(1, 2, 32, 32))
