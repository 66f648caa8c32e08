"""An outline is the edge of the mask, around holes, too, and nothing else of the picture changes."""

from __future__ import annotations

import numpy as np

from qfae_monai.outline import OUTLINE, draw_outline


def test_edges_of_a_ring_are_drawn() -> None:
    mask = np.zeros((12, 12))
    mask[1:11, 1:11] = 0.5
    mask[4:8, 4:8] = 0  # a hole
    drawn = (draw_outline(np.zeros((12, 12, 3), np.uint8), mask) == OUTLINE).all(axis=2)
    assert drawn[1, 1:11].all()  # the outer edge
    assert drawn[3, 4:8].all()  # and that of the hole
    assert not drawn[mask == 0].any()
    assert not drawn[2, 2:10].any()
