"""Lesions painted into normal images."""

from __future__ import annotations

import torch

from qfae_monai.anomaly.painted_images import PAINTED, paint_lesions
from qfae_monai.networks.grey import MEAN, STD


def test_each_painted_image_is_one_of_the_normal_ones_with_a_lesion() -> None:
    normal = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    painted = paint_lesions((normal - MEAN) / STD, level=0.01, seed=0)
    assert 0 < len(painted.images) <= PAINTED
    assert len(painted.images) == len(painted.rows) == len(painted.cells)
    changed = (painted.images - ((normal - MEAN) / STD)[list(painted.rows)]).abs().flatten(1) > 1e-5
    assert bool(changed.any(dim=1).all())


def test_without_images_or_bodies_there_is_nothing_to_paint_into() -> None:
    for normal in (torch.empty(0, 1, 32, 32), torch.full((3, 1, 32, 32), -MEAN / STD)):
        painted = paint_lesions(normal, level=0.01, seed=0)
        assert (len(painted.images), painted.rows, painted.cells) == (0, [], [])
