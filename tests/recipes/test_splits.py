"""Seeded splits: whole numbers that add up, and no name in two groups."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from qfae_monai.recipes import draw, share, split_patients

SHARES: list[list[Any]] = [
    [625, (424, 162, 39), [424, 162, 39]],
    [626, (11, 615), [11, 615]],
    [8851, (8000, 70, 781), [8000, 70, 781]],
    [10, (0.7, 0.1, 0.2), [7, 1, 2]],
    [7, (0.7, 0.1, 0.2), [5, 1, 1]],
    [1, (1, 1), [1, 0]],
    [0, (1, 1), [0, 0]],
]


@pytest.mark.parametrize(("total", "weights", "expected"), SHARES)
def test_share(total: int, weights: tuple, expected: list[int]) -> None:
    assert share(total, weights) == expected


@pytest.mark.parametrize(("total", "weights"), [(3, ()), (3, (0, 0)), (3, (1, -1)), (-1, (1,))])
def test_bad_shares_are_refused(total: int, weights: tuple) -> None:
    with pytest.raises(ValueError, match="expected a total of 0 or more"):
        share(total, weights)


def test_draws_are_disjoint_and_seeded() -> None:
    names = [f"n{i}" for i in range(30)]
    first, second = draw(names, [10, 20], seed=3)
    assert sorted(first + second) == sorted(names)
    assert draw(names[::-1], [10, 20], seed=3) == [first, second]
    assert draw(names, [10, 20], seed=4) != [first, second]
    with pytest.raises(ValueError, match="at least 31 to draw from, got 30"):
        draw(names, [31], seed=0)


@pytest.mark.parametrize(("patients", "expected"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (7, (5, 1, 1)), (2, (1, 0, 1))])
def test_small_cohorts_fill_every_split(patients: int, expected: tuple[int, int, int]) -> None:
    splits = Counter(split_patients([f"p{i}" for i in range(patients)], (0.7, 0.1, 0.2), seed=0).values())
    assert tuple(splits[name] for name in ("train", "valid", "test")) == expected
