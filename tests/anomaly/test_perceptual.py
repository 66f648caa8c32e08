"""Perceptual distance: zero where nothing differs, a peak where something does, one copy of the blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from qfae_monai.anomaly import PerceptualLoss


def tiny_trunk() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(img_size=64, patch_size=16, embed_dim=24, depth=4, num_heads=3, num_classes=0)


def tiny_loss(**arguments: Any) -> PerceptualLoss:
    return PerceptualLoss(tiny_trunk(), **{"blocks": (1, 2), "patch_sizes": (8, 16, 32), **arguments})


def images(seed: int = 1) -> tuple[Tensor, Tensor]:
    image, reconstruction = torch.randn(2, 2, 1, 64, 64, generator=torch.Generator().manual_seed(seed))
    return image, reconstruction


# [arguments, shape of the maps of two images]
TEST_CASES: list[list[Any]] = [
    [{}, (2, 2, 64, 64)],
    [{"consensus": "none"}, (2, 6, 64, 64)],
    [{"blocks": (-1,), "patch_sizes": (16,)}, (2, 1, 64, 64)],
    [{"metric": "l1"}, (2, 2, 64, 64)],
    [{"metric": "l2", "consensus": "none", "patch_sizes": (8, 16)}, (2, 4, 64, 64)],
]


@pytest.mark.parametrize(("arguments", "shape"), TEST_CASES)
def test_maps_and_reductions(arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    image, reconstruction = images()
    loss = tiny_loss(**arguments, reduction="none")
    maps = loss(reconstruction, image)
    assert maps.shape == shape
    assert loss.num_maps == shape[1]
    assert (maps >= 0).all()
    torch.testing.assert_close(tiny_loss(**arguments)(reconstruction, image), maps.mean())
    torch.testing.assert_close(tiny_loss(**arguments, reduction="sum")(reconstruction, image), maps.sum())
    torch.testing.assert_close(loss(image, image), torch.zeros(shape), rtol=0, atol=1e-6)


def test_product_is_the_product_over_patch_sizes_block_by_block() -> None:
    image, reconstruction = images()
    parts = tiny_loss(consensus="none", reduction="none")(reconstruction, image)
    product = tiny_loss(reduction="none")(reconstruction, image)
    torch.testing.assert_close(parts.unflatten(1, (2, 3)).prod(dim=2), product)


@pytest.mark.parametrize("corner", [(0, 0), (0, 48), (48, 16)])
def test_the_peak_is_at_the_lesion(corner: tuple[int, int]) -> None:
    loss = PerceptualLoss(tiny_trunk(), blocks=(0, 1), patch_sizes=(8, 16), reduction="none")
    normal = 0.1 * images()[0][:1]
    image = normal.clone()
    row, column = corner
    image[..., row : row + 16, column : column + 16] += torch.randn(16, 16, generator=torch.Generator().manual_seed(2))
    peak = int(loss(normal, image).mean(dim=1).flatten().argmax())
    assert row <= peak // 64 < row + 16
    assert column <= peak % 64 < column + 16


def test_blocks_are_in_memory_once() -> None:
    loss = tiny_loss()
    weights = [trunk.get_parameter("blocks.0.attn.qkv.weight") for trunk in loss.trunks]
    assert len({weight.data_ptr() for weight in weights}) == 1
    trunk, one = tiny_trunk(), sum(parameter.numel() for parameter in tiny_trunk().blocks.parameters())
    distinct = sum(parameter.numel() for name, parameter in loss.named_parameters() if ".blocks." in name)
    assert distinct == one
    assert [trunk.get_parameter("pos_embed").shape[1] for trunk in loss.trunks] == [65, 17, 5]
    assert trunk.get_parameter("pos_embed").shape[1] == 17


def test_trunk_that_was_given_keeps_its_patch_size() -> None:
    trunk = tiny_trunk()
    PerceptualLoss(trunk, blocks=(0,), patch_sizes=(8, 32))
    assert trunk.patch_embed.patch_size == (16, 16)
    assert trunk(torch.rand(1, 3, 64, 64)).shape == (1, 24)


def test_network_is_frozen_and_the_gradient_flows_to_the_input_only() -> None:
    loss = tiny_loss().train()
    assert not any(module.training for module in loss.modules())
    image, reconstruction = (tensor.requires_grad_() for tensor in images())
    loss(reconstruction, image).backward()
    assert image.grad is None
    assert reconstruction.grad is not None
    assert reconstruction.grad.abs().sum() > 0
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in loss.parameters())


def test_no_block_after_the_last_one_needed_runs() -> None:
    trunk = tiny_trunk()
    with torch.no_grad():
        for parameter in [*trunk.blocks[3].parameters(), *trunk.norm.parameters()]:
            parameter.fill_(float("nan"))
    image, reconstruction = images()
    assert PerceptualLoss(trunk, blocks=(1, 2), patch_sizes=(16, 32))(reconstruction, image).isfinite()


def test_features_have_no_prefix() -> None:
    features = tiny_loss().features(images()[0], patch_size=32)
    assert [tuple(feature.shape) for feature in features] == [(2, 4, 24), (2, 4, 24)]


# [arguments, message]
ERRORS: list[list[Any]] = [
    [{"patch_sizes": (16, 24)}, "image_size 64 is not divisible by patch_size 24"],
    [{"blocks": (1, 4)}, r"block 4 is out of range for a network of 4 blocks"],
    [{"metric": "l3"}, "metric must be one of .* got 'l3'"],
    [{"consensus": "sum"}, "consensus must be 'product' or 'none', got 'sum'"],
    [{"reduction": "median"}, "median"],
    [{"precision": "half"}, "precision must be one of .* got 'half'"],
    [{"blocks": ()}, "at least one block"],
    [{"patch_sizes": ()}, "one patch size"],
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_loss(**arguments)


def test_foreground_counts_as_often_as_asked_and_the_scale_stays() -> None:
    image, reconstruction = images()
    image[:, :, :, :16] = -2.0  # background: a quarter of each image, the rest is foreground
    image[:, :, :, 16:] = image[:, :, :, 16:].abs()
    maps = tiny_loss(reduction="none")(reconstruction, image)
    weighted = tiny_loss(reduction="none", foreground_weight=4.0)(reconstruction, image)
    background, foreground = weighted[..., :16] / maps[..., :16], weighted[..., 16:] / maps[..., 16:]
    torch.testing.assert_close(background, torch.full_like(background, 1 / 3.25))  # mean of 1, 4, 4, 4
    torch.testing.assert_close(foreground, torch.full_like(foreground, 4 / 3.25))
    torch.testing.assert_close(tiny_loss(foreground_weight=4.0)(reconstruction, image), weighted.mean())


def test_weight_of_one_and_an_image_without_background_change_nothing() -> None:
    image, reconstruction = images()
    plain = tiny_loss()(reconstruction, image)
    assert torch.equal(tiny_loss(foreground_weight=1.0)(reconstruction, image), plain)
    torch.testing.assert_close(
        tiny_loss(foreground_weight=9.0)(reconstruction, image.abs()), tiny_loss()(reconstruction, image.abs())
    )
    with pytest.raises(ValueError, match="foreground_weight must be above 0, got 0"):
        tiny_loss(foreground_weight=0)
