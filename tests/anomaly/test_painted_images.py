"""Lesions painted into normal images."""

from __future__ import annotations

import numpy as np
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


def test_colours_get_the_same_lesion_in_all_channels() -> None:
    y, x = np.mgrid[:32, :32] - 16
    disc = torch.from_numpy((np.hypot(y, x) < 12) * (0.5 + 0.05 * np.sin(x + 3 * y))).float()
    colours = (torch.stack([disc, disc * 0.8, disc * 0.6])[None].repeat(4, 1, 1, 1) - MEAN) / STD
    painted, rows, _ = paint_lesions(colours, level=0.01, seed=0)
    assert painted.shape[1:] == (3, 32, 32)
    apart = painted - colours[list(rows)]
    assert apart.abs().amax((1, 2, 3)).min() > 0.05
    assert torch.allclose(apart[:, :1].expand_as(apart), apart, atol=1e-5)
