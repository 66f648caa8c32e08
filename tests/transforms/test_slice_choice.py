"""Slices that count: the same place of a body in any number of slices, with overshoot, and in what has none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from qfae_monai.transforms import SliceChoice
from qfae_monai.transforms.slice_choice import SliceSummaryd

SHARE = (0.2, 0.8)


def head(slices: int = 24, *, axis: int = 2) -> Tensor:
    """(1, 32, 32, slices): a ball of tissue from a sixth to five sixths of the slices, in air of 0."""
    x, y, z = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in (32, 32, slices)), indexing="ij")
    ball = (100 + 50 * x + 20 * z) * (x**2 + y**2 + (1.5 * z) ** 2 < 0.9)
    return ball.movedim(2, axis)[None]


def chosen(volume: Tensor, **how: Any) -> list[int]:
    visible, inside = SliceChoice(**how)(volume)
    return (visible & inside).nonzero()[:, 0].tolist()


def extent(places: list[int], slices: int) -> tuple[float, float]:
    """Faces of the first and last slice, in shares of the volume."""
    return places[0] / slices, (places[-1] + 1) / slices


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_twice_the_slices_are_the_same_share_of_a_head(axis: int) -> None:
    coarse, fine = (
        chosen(head(24, axis=axis), axis=axis, share=SHARE),
        chosen(head(48, axis=axis), axis=axis, share=SHARE),
    )
    assert extent(fine, 48) == pytest.approx(extent(coarse, 24), abs=1 / 24)
    assert len(fine) == pytest.approx(2 * len(coarse), abs=2)


def test_overshoot_below_the_background_is_no_foreground() -> None:
    noise = torch.rand(head().shape, generator=torch.Generator().manual_seed(0))
    overshot = torch.where((head() == 0) & (noise > 0.9), -3 * noise, head())
    assert float(overshot.min()) < 0
    assert chosen(overshot, share=SHARE) == chosen(head(), share=SHARE)


def test_air_added_around_a_head_moves_nothing() -> None:
    padded = torch.cat([torch.zeros(1, 32, 32, 30), head(), torch.zeros(1, 32, 32, 7)], dim=3)
    assert [place - 30 for place in chosen(padded, share=SHARE)] == chosen(head(), share=SHARE)


@pytest.mark.parametrize("value", [0.0, -1000.0])
@pytest.mark.parametrize("how", [{}, {"share": SHARE}, {"index_range": (1, 3)}])
def test_an_empty_volume_has_no_slices(value: float, how: dict[str, Any]) -> None:
    assert chosen(torch.full((1, 4, 4, 6), value), **how) == []


def test_a_share_of_few_slices_holds_at_least_one() -> None:
    assert chosen(head()[..., 10:13], share=(0.4, 0.45)) == [1]
    assert chosen(head()[..., 12:13], share=(0.9, 1.0)) == [0]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"axis": 3}, "axis 0, 1 or 2"),
        ({"share": (0.5, 0.5)}, "slice_share"),
        ({"share": (-0.1, 0.5)}, "slice_share"),
        ({"share": (0.5, 1.1)}, "slice_share"),
        ({"index_range": (5, 2)}, r"got \(5, 2\)"),
        ({"index_range": (1, 5), "share": SHARE}, "by index or by share"),
        ({"min_foreground": 2}, "min_foreground"),
    ],
)
def test_what_is_no_choice_is_refused(how: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SliceChoice(**how)


@pytest.mark.parametrize("count", [2, 3, 100, 101, 102, 4096, 57_600])
def test_the_percentile_of_a_slice_is_that_of_its_sorted_pixels(count: int) -> None:
    volume = torch.randn(1, 1, count, 3, generator=torch.Generator().manual_seed(0))
    volume[..., 0] = (volume[..., 0] > 0) * 1.0  # many equal ones
    found = SliceSummaryd()({"image": volume})["trivial_p99"]
    assert torch.allclose(found, torch.quantile(volume[0, 0], 0.99, dim=0), rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_of_any_type_labels_the_slices_that_it_touches(axis: int) -> None:
    for dtype in (torch.bool, torch.uint8, torch.float32):
        mask = torch.zeros(1, 3, 4, 5, dtype=dtype)
        mask[0, 1, 2, 3] = 1
        found = SliceSummaryd(axis=axis)({"image": torch.rand(1, 3, 4, 5), "label": mask})
        assert found["slice_labels"].nonzero().tolist() == [[axis + 1]]
        assert float(found["volume_label"]) == 1
