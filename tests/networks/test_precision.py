"""bfloat16: where it is asked for, and float32 results that stay close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from qfae_monai.losses import PerceptualLoss
from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, PlainAutoencoder, QFormer, precision

CPU = torch.device("cpu")


def trunk() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0)


def decoder() -> PatchDecoder:
    return PatchDecoder(24, 4, 8, dim=16, depth=1, heads=2)


def qfae(**arguments: Any) -> nn.Module:
    return QFAE(FrozenViT(trunk(), blocks=(-1,)), QFormer(24, 16, heads=2, query_init_std=1.0), decoder(), **arguments)


def plain(**arguments: Any) -> nn.Module:
    return PlainAutoencoder(trunk(), decoder(), **arguments)


# [precision, native bfloat16 on this CPU, device, does the network autocast]
TEST_CASES: list[list[Any]] = [
    ["float32", True, CPU, False],
    ["bfloat16", False, CPU, True],
    ["auto", True, CPU, True],
    ["auto", False, CPU, False],
]


@pytest.mark.parametrize(("setting", "native", "device", "expected"), TEST_CASES)
def test_autocast(
    monkeypatch: pytest.MonkeyPatch, setting: Any, native: bool, device: torch.device, expected: bool
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: native)
    with precision.autocast(device, setting):
        assert torch.is_autocast_enabled("cpu") is expected


def test_auto_leaves_cuda_to_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: True)
    with precision.autocast(torch.device("cuda"), "auto"):
        assert not torch.is_autocast_enabled("cuda")


@pytest.mark.parametrize("make", [qfae, plain])
def test_bfloat16_stays_close(make: Callable[..., nn.Module]) -> None:
    exact, fast = make().eval(), make(precision="bfloat16").eval()
    fast.load_state_dict(exact.state_dict())
    image = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        found, expected = fast(image), exact(image)
    assert found.dtype == torch.float32
    assert 0 < float((found - expected).norm() / expected.norm()) < 0.03


def test_bfloat16_perceptual_maps_stay_close() -> None:
    arguments: dict[str, Any] = {"blocks": (0, 1), "patch_sizes": (8, 16), "reduction": "none"}
    exact, fast = PerceptualLoss(trunk(), **arguments), PerceptualLoss(trunk(), **arguments, precision="bfloat16")
    image, other = torch.rand(2, 1, 1, 32, 32)
    found, expected = fast(other, image), exact(other, image)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.01)
    assert fast(image, image).abs().max() < 1e-6


def test_kept_queries_do_not_leak_between_precisions() -> None:
    network = qfae().eval()
    image = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        expected = network(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            network(image)
        torch.testing.assert_close(network(image), expected, rtol=0, atol=0)
