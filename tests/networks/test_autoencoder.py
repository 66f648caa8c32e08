"""Plain autoencoder: trains the whole trunk, or none of it."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from qfae_monai.networks import PatchDecoder, PlainAutoencoder


def tiny_autoencoder(frozen: bool = False, grid: int = 4, block: int = -1) -> PlainAutoencoder:
    trunk = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0, reg_tokens=2
    )
    decoder = PatchDecoder(24, grid, 8, dim=16, depth=1, heads=2)
    return PlainAutoencoder(trunk, decoder, frozen=frozen, block=block)


@pytest.mark.parametrize("frozen", [True, False])
def test_what_trains(frozen: bool) -> None:
    network = tiny_autoencoder(frozen).train()
    reconstruction = network(torch.rand(2, 1, 32, 32))
    assert reconstruction.shape == (2, 3, 32, 32)
    reconstruction.square().mean().backward()
    assert network.trunk.training is not frozen
    assert network.decoder.training
    assert (network.trunk.get_parameter("blocks.0.attn.qkv.weight").grad is None) is frozen
    assert network.decoder.embed.weight.grad is not None


def test_refuses_another_grid() -> None:
    with pytest.raises(ValueError, match=r"into \(4, 4\) patches, the decoder expects \(2, 2\)"):
        tiny_autoencoder(grid=2)


@torch.no_grad()
def test_no_block_behind_the_decoded_one_counts() -> None:
    network, image = tiny_autoencoder(block=-2), torch.rand(1, 1, 32, 32)
    before = network(image)
    for weight in network.trunk.blocks[1].parameters():
        weight.zero_()
    assert torch.equal(network(image), before)
    for weight in network.trunk.blocks[0].parameters():
        weight.zero_()
    assert not torch.equal(network(image), before)


def test_refuses_a_block_that_the_encoder_does_not_have() -> None:
    with pytest.raises(ValueError, match=r"block 2 is out of range for a network of 2 blocks: -2\.\.1"):
        tiny_autoencoder(block=2)
