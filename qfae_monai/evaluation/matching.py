"""Controls matched by slice position: abnormal slices lie in the middle of the body, and a score may know just that."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Matching(NamedTuple):
    """rows: (N,), True for the slices of a pair. pairs, unmatched: abnormal slices with and without a control."""

    rows: NDArray[np.bool_]
    pairs: int
    unmatched: int


def match_by_position(positions: ArrayLike, labels: ArrayLike, *, tolerance: float = 0.05) -> Matching:
    """Give each abnormal slice one normal slice, of any patient, from nearly the same position.

    Abnormal slices choose in the order of their positions (then of their rows): the nearest normal slice that is still
    free and not farther than `tolerance`; of two equally near, the lower one. The result depends on nothing else.

    Args:
        positions: (N,), slice / (slices - 1), in [0, 1].
        labels: (N,), 1 is abnormal, 0 is normal; anything else (NaN: unlabelled) is left out.
        tolerance: largest difference of positions.

    Raises:
        ValueError: for a negative tolerance.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}")
    where, truth = np.asarray(positions, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    rows = np.zeros(len(where), dtype=bool)
    order = np.argsort(where, kind="stable")
    free = [(float(where[row]), int(row)) for row in order if truth[row] == 0]
    abnormal = [int(row) for row in order if truth[row] == 1]
    pairs = 0
    for row in abnormal:
        wanted = float(where[row])
        next_up = bisect_left(free, (wanted, -1))
        near = [i for i in (next_up - 1, next_up) if 0 <= i < len(free)]
        best = min(near, key=lambda i: abs(free[i][0] - wanted), default=None)
        if best is None or abs(free[best][0] - wanted) > tolerance + 1e-12:
            continue
        rows[[row, free.pop(best)[1]]] = True
        pairs += 1
    return Matching(rows, pairs, len(abnormal) - pairs)
