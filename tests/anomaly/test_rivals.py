"""Training-free maps: they are zero on what they know, and peak where an image differs from all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from qfae_monai.anomaly import AnomalyScorer, MeanDistance, MeanImage, NearestNeighbours, NormalImages, Rival
from qfae_monai.weights import create_vit


@pytest.fixture(scope="module")
def trunk() -> VisionTransformer:
    return create_vit("vit_tiny_patch16_224", seed=1, image_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2)


def reference(images: Tensor, **arguments: Any) -> NormalImages:
    return NormalImages(lambda: [{"image": image} for image in images], **arguments)  # type: ignore[arg-type, return-value]


Make = Callable[[VisionTransformer, NormalImages], Rival]
MAKE: list[Make] = [
    lambda _, images: MeanDistance(images),
    lambda trunk, images: NearestNeighbours(trunk, images, blocks=(-1, -2)),
]


@pytest.mark.parametrize("make", MAKE)
def test_known_image_is_normal_and_a_change_peaks_where_it_is(trunk: VisionTransformer, make: Make) -> None:
    known = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1, -1)
    rival = make(trunk, reference(known))
    assert rival(known[:1]).score.item() == pytest.approx(0, abs=1e-4)
    changed = known[:1].clone()
    changed[..., 8:16, 16:24] += 2
    found = rival(changed)
    row, column = divmod(int(found.anomaly_map[0, 0].argmax()), 32)
    assert 8 <= row < 16
    assert 16 <= column < 24
    assert found.score.item() == found.anomaly_map.max().item() > 0


def test_nearest_is_sought_at_the_same_place(trunk: VisionTransformer) -> None:
    """A patch that is normal elsewhere is abnormal here."""
    known = torch.zeros(2, 1, 32, 32)
    known[..., :8, :8] = 1  # always in this corner
    moved = torch.zeros(1, 1, 32, 32)
    moved[..., 24:, 24:] = 1
    rival = NearestNeighbours(trunk, reference(known), blocks=[-1])
    assert rival(moved).score > 10 * rival(known[:1]).score + 0.1


def test_images_are_drawn_once_and_seeded() -> None:
    pool = torch.arange(20.0)[:, None, None, None].expand(-1, 1, 4, 4)
    drawn = reference(pool, max_images=5, seed=1)
    assert drawn.images.shape == (5, 1, 4, 4)
    assert drawn.images is drawn.images
    assert torch.equal(drawn.images, reference(pool, max_images=5, seed=1).images)
    assert not torch.equal(drawn.images, reference(pool, max_images=5, seed=2).images)
    with pytest.raises(ValueError, match="max_images"):
        reference(pool, max_images=0)


def test_mean_image_is_a_reconstruction_of_the_methods_own_score() -> None:
    known = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    scorer = AnomalyScorer(torch.nn.L1Loss(reduction="none"), score_over_pixels="mean")
    found = MeanImage(reference(known), scorer)(known[:2])
    expected = scorer(known[:2], known.mean(0, keepdim=True).expand(2, -1, -1, -1))
    assert torch.equal(found.score, expected.score)
    assert torch.equal(found.anomaly_map, expected.anomaly_map)


def test_rivals_are_pooled_as_the_scorer_pools() -> None:
    known = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    scorer = AnomalyScorer(torch.nn.L1Loss(reduction="none"), score_over_pixels="mean")
    pooled, highest = MeanDistance(reference(known), pool=scorer.over_pixels), MeanDistance(reference(known))
    assert torch.equal(pooled(known).anomaly_map, highest(known).anomaly_map)
    assert torch.equal(pooled(known).score, pooled(known).anomaly_map.flatten(1).mean(1))
    assert torch.equal(highest(known).score, highest(known).anomaly_map.flatten(1).amax(1))
