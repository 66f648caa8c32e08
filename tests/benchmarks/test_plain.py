"""The fast formulation gives what the plain one gives: reconstruction, maps, loss and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers import Attention
from timm.models.vision_transformer import VisionTransformer

from benchmarks.plain import PlainPerceptualLoss, PlainQFAE
from qfae_monai.anomaly import PerceptualLoss
from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, QFormer

ATOL = 1e-5  # of reconstructions and maps
LOSS_ATOL = 1e-6
GRADIENT_RTOL = 1e-5  # of a gradient's norm
ZERO = "qkv.bias"  # the true gradient of a key's bias is zero


def trunk(seed: int) -> VisionTransformer:
    torch.manual_seed(seed)
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=4, num_heads=3, num_classes=0)


def network(num_blocks: int = 1, **decoder: Any) -> QFAE:
    torch.manual_seed(3)
    return QFAE(
        FrozenViT(trunk(1), blocks=(-2, -3), output_dim=32),
        QFormer(32, 16, heads=2, num_blocks=num_blocks, query_init_std=1.0, dropout=0.0),
        PatchDecoder(32, 4, 8, dim=16, depth=2, heads=2, **decoder),
    )


def loss(**arguments: Any) -> PerceptualLoss:
    return PerceptualLoss(trunk(2), **{"blocks": (0, 2), "patch_sizes": (8, 16), **arguments})


@pytest.mark.parametrize("num_blocks", [1, 3])
def test_evaluation(num_blocks: int) -> None:
    fast, distance, image = network(num_blocks).eval(), loss(reduction="none"), torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        reconstruction = fast(image)
        torch.testing.assert_close(PlainQFAE(fast)(image), reconstruction, rtol=0, atol=ATOL)
        maps = PlainPerceptualLoss(distance)(reconstruction, image)
        torch.testing.assert_close(distance(reconstruction, image), maps, rtol=0, atol=ATOL)


@pytest.mark.parametrize("checkpointing", ["none", "light", "full"])
def test_training(checkpointing: str) -> None:
    fast, distance, image = network(checkpointing=checkpointing).train(), loss(), torch.randn(3, 1, 32, 32)
    plain, plain_distance = PlainQFAE(fast), PlainPerceptualLoss(distance)
    plain.network.decoder.checkpointing = "none"
    found, expected = distance(fast(image), image), plain_distance(plain(image), image)
    torch.testing.assert_close(found, expected, rtol=0, atol=LOSS_ATOL)
    found.backward()
    expected.backward()
    gradients = {name: weight.grad for name, weight in plain.network.named_parameters() if weight.requires_grad}
    assert len(gradients) > 30
    for name, weight in fast.named_parameters():
        if not weight.requires_grad or name.endswith(ZERO):
            continue
        wanted = gradients[name]
        assert weight.grad is not None
        assert wanted is not None
        assert (weight.grad - wanted).norm() <= GRADIENT_RTOL * wanted.norm() + 1e-9, name


def test_plain_network_has_timms_own_attention_and_trained_weights_of_its_own() -> None:
    fast = network()
    plain = PlainQFAE(fast)
    for one in (fast, plain.network):  # fused, as in the released code: one that is not would flatter the fast network
        assert [part.fused_attn for part in one.modules() if isinstance(part, Attention)] == [True] * 6
    shared = [plain.network.get_parameter(name) is weight for name, weight in fast.named_parameters()]
    trained = [weight.requires_grad for weight in fast.parameters()]
    assert [not one for one in shared] == trained
