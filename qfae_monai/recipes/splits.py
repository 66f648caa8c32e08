"""Seeded splits: a whole number of patients (or slices) to each part, the same for one seed on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

__all__ = ["draw", "share", "split_patients"]


def share(total: int, weights: Sequence[float]) -> list[int]:
    """Whole parts of `total` in proportion to `weights`, by largest remainders; they add up to `total`.

    Example:
        >>> share(625, (424, 162, 39)), share(10, (0.7, 0.1, 0.2))
        ([424, 162, 39], [7, 1, 2])
    """
    if total < 0 or not weights or min(weights) < 0 or not sum(weights) > 0:
        raise ValueError(f"expected a total of 0 or more and weights above 0, got {total} and {tuple(weights)}")
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(part + 1e-9) for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def draw(names: Sequence[str], counts: Sequence[int], seed: int) -> list[list[str]]:
    """Draw disjoint groups of `counts` names without replacement; depends on the names, not on their order.

    Example:
        >>> draw(["c", "a", "b"], [1, 2], seed=0) == draw(["a", "b", "c"], [1, 2], seed=0)
        True
    """
    names = sorted(set(names))  # a draw must not depend on the order of files
    if sum(counts) > len(names):
        raise ValueError(f"expected at least {sum(counts)} to draw from, got {len(names)}")
    order = np.random.default_rng(seed).permutation(len(names))  # a generator of its own: no global seed
    ends = np.cumsum([0, *counts])
    return [[names[i] for i in order[first:last]] for first, last in pairwise(ends)]


def split_patients(patients: Sequence[str], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """Patient -> "train", "valid" or "test".

    With three patients or more, each part with a fraction above 0 gets one at least.

    Args:
        patients: their names; repeated ones count once.
        fractions: of patients to train, valid and test.
        seed: of the draw.

    Example:
        >>> sorted(split_patients("abcdefghij", (0.7, 0.1, 0.2), seed=0).values())
        ['test', 'test', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'valid']
        >>> split_patients(["a"], (0.7, 0.1, 0.2), seed=0)
        {'a': 'train'}
    """
    if len(fractions) != 3:
        raise ValueError(f"expected fractions of train, valid and test, got {tuple(fractions)}")
    names = sorted(set(patients))
    counts = share(len(names), fractions)
    for part in range(3):
        largest = counts.index(max(counts))
        # rounding of few patients may leave a part empty
        if fractions[part] > 0 and counts[part] == 0 and counts[largest] > 1:
            counts[part], counts[largest] = 1, counts[largest] - 1
    groups = draw(names, counts, seed)
    return {name: split for split, group in zip(("train", "valid", "test"), groups, strict=True) for name in group}
