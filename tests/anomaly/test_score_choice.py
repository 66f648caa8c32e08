"""Choice of a score by painted lesions."""

from __future__ import annotations

import pytest
import torch

from qfae_monai.anomaly import Normals
from qfae_monai.anomaly.score_choice import Scored, choose_way

BODY = 0.0
SIDE = 16


def scored(maps: torch.Tensor, background: bool = True) -> Scored:
    image = torch.ones(len(maps), 1, SIDE, SIDE)
    if background:
        image[..., :2] = -1
    return Scored(image, maps, [f"P{row}" for row in range(len(maps))], None)


def choose(normal: torch.Tensor, painted: torch.Tensor, sets: list[list[int]], cells: int = 1):  # type: ignore[no-untyped-def]
    kinds = [("bright", float(row % cells)) for row in range(len(painted))]
    known = Normals.of(normal, [f"P{row}" for row in range(len(normal))])
    return choose_way(scored(normal), scored(painted), kinds, known, body_above=BODY, layer_sets=sets)


def test_a_lesion_that_one_pixel_shows_is_found_by_the_peak() -> None:
    torch.manual_seed(0)
    normal = torch.rand(40, 1, SIDE, SIDE)
    painted = torch.rand(40, 1, SIDE, SIDE)
    painted[:, 0, 8, 8] = 1.5
    way, tried = choose(normal, painted, [[0]])
    assert way.settings["score_over_pixels"] in ("max", "top")
    assert way.auroc > 0.95
    assert len(tried) == 2 * 4 * 2  # standardised or not, four poolings, body or all


@pytest.mark.parametrize(("darker", "without_peak", "mean"), [(6, 0, False), (4, 5, True), (0, 0, True)])
def test_a_peak_is_taken_where_it_leaves_a_third_of_the_errors(darker: int, without_peak: int, mean: bool) -> None:
    """Of 100 painted images the mean misses those that are darker as a whole, and both those without a peak."""
    torch.manual_seed(0)
    normal, painted = (0.5 + 0.01 * torch.rand(100, 1, SIDE, SIDE) for _ in range(2))
    painted += 0.05
    painted[: darker + without_peak] -= 0.1
    painted[without_peak:, 0, 8, 8] = 2.5
    way, _ = choose(normal, painted, [[0]])
    assert (way.settings["score_over_pixels"] == "mean") == mean


def test_a_change_of_everything_is_found_by_the_mean() -> None:
    torch.manual_seed(0)
    way, _ = choose(torch.rand(40, 1, SIDE, SIDE), 0.2 + torch.rand(40, 1, SIDE, SIDE), [[0]])
    assert way.settings["score_over_pixels"] == "mean"


def test_a_map_that_shows_nothing_is_left_out() -> None:
    torch.manual_seed(0)
    normal, painted = torch.rand(40, 2, SIDE, SIDE), torch.rand(40, 2, SIDE, SIDE)
    normal[:, 1] += 3 * torch.rand(40, 1, 1)  # noise of whole images
    painted[:, 1] += 3 * torch.rand(40, 1, 1)
    painted[:, 0] += 0.05
    way, _ = choose(normal, painted, [[0, 1], [0], [1]])
    assert way.settings["score_layers"] == [0]


def test_of_equal_ways_the_first_is_taken() -> None:
    torch.manual_seed(0)
    normal, painted = torch.rand(40, 2, SIDE, SIDE), 5 + torch.rand(40, 2, SIDE, SIDE)
    way, _ = choose(normal, painted, [[0, 1], [0], [1]])
    assert way.settings == {
        "score_layers": [0, 1],
        "score_standardised": True,
        "score_over_pixels": "mean",
        "score_share": 0.05,
        "score_body": True,
    }


def test_too_few_lesions_of_a_kind_are_refused() -> None:
    with pytest.raises(
        ValueError, match="at least 5 painted lesions of a kind and size to choose a score by, got 8 of 4"
    ):
        choose(torch.rand(8, 1, SIDE, SIDE), torch.rand(8, 1, SIDE, SIDE), [[0]], cells=4)
