"""Maps standardised by normals."""

from __future__ import annotations

import pytest
import torch

from qfae_monai.anomaly.standard_maps import FINEST, StandardMaps


def normal_maps(count: int = 200, side: int = 8) -> torch.Tensor:
    """An edge is always badly reconstructed, and varies more."""
    torch.manual_seed(0)
    maps = 1 + 0.1 * torch.randn(count, 1, side, side)
    maps[:, :, :, 0] = 5 + 2 * torch.randn(count, 1, side)
    return maps


def test_what_is_always_high_counts_no_more_than_the_rest() -> None:
    maps = normal_maps()
    found = StandardMaps.of(maps)(maps)
    assert float(found.mean().abs()) < 1e-4
    edge, rest = found[..., 0].std(), found[..., 1:].std()
    assert float(edge / rest) < 2.5  # of 20: the spread of all pixels counts a little at each
    lesion = maps[:1].clone()
    lesion[..., 3, 3] = 3
    assert int(StandardMaps.of(maps)(lesion).argmax()) == 3 * 8 + 3  # and not the edge, which is higher


def test_places_along_the_stack_have_statistics_of_their_own() -> None:
    position = torch.rand(400)
    maps = (10 * position)[:, None, None, None] + 0.1 * torch.randn(400, 1, 4, 4)
    standard = StandardMaps.of(maps, position)
    same, everywhere = standard(maps, position).abs().mean(), StandardMaps.of(maps)(maps).abs().mean()
    low = standard(torch.full((1, 1, 4, 4), 9.0), torch.tensor([0.0]))
    high = standard(torch.full((1, 1, 4, 4), 9.0), torch.tensor([1.0]))
    assert float(low.mean()) > 2 > float(high.mean())  # normal at the top, and far from it at the bottom
    assert torch.isfinite(same)
    assert torch.isfinite(everywhere)


def test_few_normals_do_not_make_single_pixels_certain() -> None:
    maps = torch.ones(2, 1, 4, 4)
    maps[0, 0] += torch.rand(4, 4)
    maps[0, 0, 0, 0] = 1  # two normals agree here by chance
    assert float(StandardMaps.of(maps)(maps + 0.5).max()) < 10


def test_statistics_of_large_maps_are_kept_coarsely() -> None:
    standard = StandardMaps.of(normal_maps(4, side=2 * FINEST))
    assert standard.location.shape[-1] == FINEST
    assert standard(normal_maps(2, side=2 * FINEST)).shape[-1] == 2 * FINEST


def test_one_map_and_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 normal images to standardise by, got 1"):
        StandardMaps.of(torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match="location and spread of one shape"):
        StandardMaps(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
