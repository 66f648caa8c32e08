"""Controls by slice position: small cases by hand, and what must hold of any."""

from __future__ import annotations

import numpy as np
import pytest

from qfae_monai.evaluation.lesions import match_by_position

# [positions, labels, tolerance, kept rows, unmatched]
TEST_CASES: list[list] = [
    [[0.5, 0.52, 0.9], [1, 0, 0], 0.05, [0, 1], 0],
    [[0.5, 0.6, 0.9], [1, 0, 0], 0.05, [], 1],
    [[0.5, 0.5, 0.5], [1, 1, 0], 0.05, [0, 2], 1],  # without replacement, the first row chooses first
    [[0.5, 0.25, 0.75], [1, 0, 0], 0.25, [0, 1], 0],  # equally near: the lower
    [[0.5, 0.5, 0.5], [1, np.nan, 0], 0.0, [0, 2], 0],
    [[0.5, 0.5], [1, 1], 0.1, [], 2],
    [[0.5, 0.5], [0, 0], 0.1, [], 0],
]


@pytest.mark.parametrize(("positions", "labels", "tolerance", "kept", "unmatched"), TEST_CASES)
def test_by_hand(positions: list, labels: list, tolerance: float, kept: list[int], unmatched: int) -> None:
    found = match_by_position(positions, labels, tolerance=tolerance)
    assert np.flatnonzero(found.rows).tolist() == kept
    assert (found.pairs, found.unmatched) == (len(kept) // 2, unmatched)


def test_position_no_longer_tells() -> None:
    """Abnormal slices in the middle, normal ones anywhere: among pairs both have the same mean position."""
    rng = np.random.default_rng(0)
    positions = np.concatenate([rng.normal(0.5, 0.05, 100), rng.random(900)])
    labels = np.repeat([1, 0], [100, 900])
    found = match_by_position(positions, labels, tolerance=0.02)
    kept, means = found.rows, [positions[found.rows & (labels == kind)].mean() for kind in (0, 1)]
    assert kept.sum() == 2 * found.pairs > 150
    assert means[0] == pytest.approx(means[1], abs=0.02)


def test_refuses_a_negative_tolerance() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        match_by_position([0.5], [1], tolerance=-1)
