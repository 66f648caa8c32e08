"""Near-duplicates among scans: pairs whose pictures correlate above 0.95 once they are aligned, and their clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from qfae_monai.data.scan_picture import SIDE, Picture

__all__ = ["THRESHOLD", "Pair", "clusters", "correlation", "near_duplicates", "turned"]

THRESHOLD = 0.95  # docs/data.md has the measurement
COARSE = 16  # pixels of a side: so coarse that a shift of a few pixels hardly counts
LEAST = 0.5  # of the coarse correlation, below which no pair is looked at closely
NEAREST = 3  # scans for each scan that are looked at closely
BLOCK = 1024  # scans whose correlations with all others are in memory at a time
TILES, ASIDE = 8, 12  # tiles along a side, and how many of their 64 may disagree, as under a burned-in mark
OVERLAP = 0.7  # share of a picture that the other must cover
SCALE = (0.5, 2.0)  # of the area, from one picture to the other
FIRST, SECOND = 9, 3  # pixels of smoothing, for a coarse and a fine alignment
STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)  # of an alignment

Floats = NDArray[np.floating[Any]]


class Pair(NamedTuple):
    """Two near-duplicates, by their numbers in a list, and their correlation."""

    first: int
    second: int
    correlation: float


def near_duplicates(
    pictures: Sequence[Picture | None],
    *,
    different: Sequence[Sequence[Any]] = (),
    equal: Sequence[Sequence[Any]] = (),
) -> list[Pair]:
    """Pairs of scans that are one picture, perhaps turned, flipped, cropped, resized, marked, or in other greys.

    Of each scan the three that are most alike at 16 x 16 pixels are aligned with it (an affine map found by OpenCV's
    enhanced correlation coefficient) and held against it at 64 x 64. Only those are: N scans take N² / 2 small scalar
    products and at most 3 N alignments.

    Args:
        pictures: as `scan_picture` gives them; None and pictures of one grey match nothing.
        different: labels of the scans, such as their patients; both of a pair differ in each.
        equal: labels that both of a pair have in common.

    Returns:
        Pairs in the order of scans, each once, the lower number first.
    """
    found = []
    for kind in sorted({len(one) for one in pictures if one is not None}):
        chosen = {n: one for n, one in enumerate(pictures) if one is not None and len(one) == kind and one.any()}
        places = list(chosen)
        if len(places) > 1:
            stack = np.stack(list(chosen.values())).astype(np.float32)
            codes = [_codes(labels, places) for labels in different], [_codes(labels, places) for labels in equal]
            for (first, second), turn in _candidates(stack, *codes).items():
                value = correlation(stack[first], turned(stack[second], turn))
                if value > THRESHOLD:
                    low, high = sorted((places[first], places[second]))
                    found.append(Pair(low, high, value))
    return sorted(found)


def clusters(count: int, pairs: Sequence[Pair]) -> NDArray[np.int32]:
    """Number of the cluster of each scan: scans that pairs join, directly or by way of others, have the same.

    >>> clusters(4, [Pair(0, 2, 0.99), Pair(2, 3, 0.98)]).tolist()
    [0, 1, 0, 0]
    """
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    graph = coo_array((np.ones(len(pairs)), (first, second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1])


def turned(pictures: Floats, turn: int) -> Floats:
    """Pictures (..., K, SIDE, SIDE) in one of eight orientations: turned and flipped, or a volume's axes flipped.

    Args:
        pictures: of one scan or several.
        turn: 0, as they are, to 7.
    """
    first, second, third = turn & 1, turn >> 1 & 1, turn >> 2 & 1
    if pictures.shape[-3] == 1:
        pictures = np.swapaxes(pictures, -1, -2) if third else pictures
        return _flipped(pictures, first, second)
    # (YZ, XZ, XY): each picture has the flips of the two axes that it spans
    spans = ((second, third), (first, third), (first, second))
    return np.stack([_flipped(pictures[..., k, :, :], *span) for k, span in enumerate(spans)], axis=-3)


def _flipped(pictures: Floats, rows: int, columns: int) -> Floats:
    return pictures[..., :: 1 - 2 * rows, :: 1 - 2 * columns]


def _codes(labels: Sequence[Any], places: Sequence[int]) -> NDArray[np.int64]:
    return np.unique([str(labels[n]) for n in places], return_inverse=True)[1]


def _candidates(
    stack: Floats, different: Sequence[NDArray[np.int64]], equal: Sequence[NDArray[np.int64]]
) -> dict[tuple[int, int], int]:
    """(scan, scan) -> orientation of the second in which both are most alike; of each scan with those nearest to it."""
    coarse = _coarse(stack)
    turns = [np.ascontiguousarray(turned(coarse, turn)).reshape(len(stack), -1) for turn in range(8)]
    found: dict[tuple[int, int], int] = {}
    for start in range(0, len(stack), BLOCK):
        rows = slice(start, start + BLOCK)
        best, turn = _most_alike(turns[0][rows], turns)  # (R, N) each
        best[np.arange(len(best)), np.arange(start, start + len(best))] = -1  # itself
        for codes in different:
            best[codes[rows, None] == codes] = -1
        for codes in equal:
            best[codes[rows, None] != codes] = -1
        for row, column in _nearest(best):
            if (column, start + row) not in found:
                found[start + row, column] = int(turn[row, column])
    return found


def _coarse(stack: Floats) -> Floats:
    """(N, K, 16, 16) of (N, K, 64, 64): means, each scan of length 1, so that a scalar product is a correlation."""
    share = SIDE // COARSE
    small = stack.reshape(*stack.shape[:2], COARSE, share, COARSE, share).mean((3, 5))
    small -= small.mean((2, 3), keepdims=True)
    length = np.sqrt((small**2).sum((2, 3), keepdims=True) * stack.shape[1])
    return small / np.maximum(length, np.finfo(np.float32).tiny)


def _most_alike(rows: Floats, turns: Sequence[Floats]) -> tuple[Floats, NDArray[np.int8]]:
    best = rows @ turns[0].T
    turn = np.zeros(best.shape, np.int8)
    for number, columns in enumerate(turns[1:], 1):
        product = rows @ columns.T
        better = product > best
        best[better], turn[better] = product[better], number
    return best, turn


def _nearest(best: Floats) -> Iterator[tuple[int, int]]:
    count = min(NEAREST, best.shape[1])
    columns = np.argpartition(-best, count - 1, axis=1)[:, :count]
    for row, column in product(range(len(best)), range(count)):
        if best[row, columns[row, column]] > LEAST:
            yield row, int(columns[row, column])


def correlation(first: Floats, second: Floats) -> float:
    """Correlation of two scans' pictures (K, SIDE, SIDE) after alignment, the mean of K."""
    values: list[float] = []
    for one, other in zip(first, second, strict=True):
        values.append(_aligned(np.ascontiguousarray(one), np.ascontiguousarray(other)))
        if sum(values) + len(first) - len(values) <= THRESHOLD * len(first):  # nothing that follows can make up for it
            break
    return sum(values) / len(first)


def _aligned(one: Floats, other: Floats) -> float:
    """Correlation of two pictures, with the affine map between them where it is too low without."""
    warp: Any = np.eye(2, 3, dtype=np.float32)
    whole = np.ones((SIDE, SIDE), np.uint8)
    before = _agreement(one, other, warp)
    if before > THRESHOLD:
        return before
    try:
        for smoothing in (FIRST, SECOND):
            _, warp = cv2.findTransformECC(one, other, warp, cv2.MOTION_AFFINE, STEPS, whole, smoothing)
    except cv2.error:  # no map was found
        return before
    return max(before, _agreement(one, other, warp))


def _agreement(one: Floats, other: Floats, warp: NDArray[np.float32]) -> float:
    """Correlation over the tiles that agree best, of what both pictures show; 0 where they share too little."""
    if not SCALE[0] < abs(np.linalg.det(warp[:, :2])) < SCALE[1]:
        return 0.0
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shared = cv2.warpAffine(np.ones_like(other), warp, (SIDE, SIDE), flags=flags) > 0.5
    if shared.mean() < OVERLAP:
        return 0.0
    moved: Any = cv2.warpAffine(other, warp, (SIDE, SIDE), flags=flags)
    a, b = _unit(one, shared), _unit(moved, shared)
    aa, bb, ab = (_tiles(a * a), _tiles(b * b), _tiles(a * b))
    kept = np.argsort(aa + bb - 2 * ab, kind="stable")[: TILES * TILES - ASIDE]
    length = float(np.sqrt(aa[kept].sum() * bb[kept].sum()))
    return float(ab[kept].sum()) / length if length > 0 else 0.0


def _unit(image: Floats, shared: NDArray[np.bool_]) -> Floats:
    centred = np.where(shared, image - image[shared].mean(), 0)
    return centred / max(float(np.linalg.norm(centred)), 1e-12)


def _tiles(image: Floats) -> Floats:
    """(64,) sums over tiles of 8 x 8 pixels."""
    side = SIDE // TILES
    return image.reshape(TILES, side, TILES, side).sum((1, 3)).ravel()
