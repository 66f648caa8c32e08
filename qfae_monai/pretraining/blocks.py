"""Choice of a vision transformer's blocks for the method, by depth: the paper's, where it has enough."""

from __future__ import annotations

from collections.abc import Sequence


def encoder_blocks(depth: int) -> list[int]:
    """The paper's two states for a deep network; of a shallow one the last but one, whose features are least tied to
    what it was trained for.

    >>> encoder_blocks(12), encoder_blocks(4), encoder_blocks(1)
    ([-2, -4], [-2], [-1])
    """
    return [-2, -4] if depth >= 8 else [-2] if depth > 1 else [-1]


def loss_blocks(depth: int) -> list[int]:
    """Of the perceptual network in training; the paper's are blocks 15 and 19 of 24.

    >>> loss_blocks(24), loss_blocks(12), loss_blocks(4)
    ([15, 19], [7, 9], [2])
    """
    return _at(depth, (2 / 3, 5 / 6))


def score_blocks(depth: int) -> list[int]:
    """Of the perceptual network in scoring; the paper's are blocks 11, 15 and 19 of 24.

    >>> score_blocks(24), score_blocks(12), score_blocks(4)
    ([11, 15, 19], [5, 7, 9], [1, 2])
    """
    return _at(depth, (1 / 2, 2 / 3, 5 / 6))


def _at(depth: int, shares: Sequence[float]) -> list[int]:
    """Blocks at shares of the depth, each once."""
    return sorted({max(0, round(share * depth) - 1) for share in shares})
