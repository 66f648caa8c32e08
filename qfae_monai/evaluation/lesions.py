"""Lesions one by one and their sizes; and normal slices matched to them by position.

The lesion-wise convention of segmentation challenges: a lesion is a connected component of the mask under full
connectivity (26 neighbours in volumes, 8 in images). `detection.py` says when it is found.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

SIZE_BANDS = {
    "volume": (0.0, 100.0, 1_000.0, 10_000.0, np.inf),
    "image": (0.0, 100.0, 400.0, 1_600.0, np.inf),
}
"""Edges of lesion sizes. Volumes: mm3, spheres of 5.8, 12.4 and 26.7 mm across. Images: pixels, squares of side 10, 20
and 40. Fixed, so that two data sets and two runs can be compared band by band."""

SIZE_UNITS = {"volume": "mm3", "image": "pixels"}


class LesionRow(NamedTuple):
    """One lesion under an anomaly map.

    lesion: number in the label array, from 1. voxels: its size. mm3: its volume, None without a voxel size.
    peak, mean: of the map inside. found: peak above the threshold, None without one.
    """

    lesion: int
    voxels: int
    mm3: float | None
    peak: float
    mean: float
    found: bool | None


def label_lesions(mask: ArrayLike) -> tuple[NDArray[np.int32], int]:
    """Connected components of a mask under full connectivity.

    Args:
        mask: (H, W) or (X, Y, Z); more than 0 is lesion.

    Returns:
        Component numbers 1.. (0 outside) in the mask's shape, and how many there are.
    """
    inside = np.asarray(mask) > 0
    held = np.flatnonzero(inside.any(axis=tuple(range(1, inside.ndim))))  # along the first axis: a lesion is in few
    within = slice(held[0], held[-1] + 1) if len(held) else slice(0)
    labels = np.zeros(inside.shape, np.int32)
    count = ndimage.label(inside[within], structure=np.ones((3,) * inside.ndim), output=labels[within])
    return labels, int(count)


def lesion_rows(
    labels: NDArray[np.int32],
    anomaly_map: NDArray,
    threshold: float | None = None,
    voxel_mm3: float | None = None,
) -> list[LesionRow]:
    """Describe every lesion of a case.

    Args:
        labels: component numbers from `label_lesions`.
        anomaly_map: same shape.
        threshold: above it a pixel is called abnormal.
        voxel_mm3: volume of one voxel, mm3.

    Raises:
        ValueError: if the shapes differ.
    """
    check_shapes(anomaly_map, labels)
    numbers = np.arange(1, int(labels.max(initial=0)) + 1)  # initial: of an empty array there is no maximum
    if not len(numbers):
        return []
    inside = labels > 0  # whatever follows is of these few voxels
    own, values = labels[inside], anomaly_map[inside]
    voxels = np.bincount(own)[1:]  # without the background, number 0
    peaks, means = (of(values, own, numbers) for of in (ndimage.maximum, ndimage.mean))
    return [
        LesionRow(
            int(number),
            int(size),
            None if voxel_mm3 is None else float(size * voxel_mm3),
            float(peak),
            float(mean),
            None if threshold is None else bool(peak > threshold),
        )
        for number, size, peak, mean in zip(numbers, voxels, peaks, means, strict=True)
    ]


def size_band(sizes: ArrayLike, kind: Literal["volume", "image"]) -> NDArray[np.intp]:
    """Number of the band in `SIZE_BANDS` that holds each size: edge `i` included, edge `i + 1` not."""
    # edges between bands: the first and last take the rest
    return np.digitize(np.asarray(sizes, dtype=np.float64), SIZE_BANDS[kind][1:-1])


def check_shapes(anomaly_map: NDArray, labels: NDArray) -> None:
    """Refuse a map and a mask of different grids."""
    if anomaly_map.shape != labels.shape:
        raise ValueError(f"expected map and mask of one shape, got {anomaly_map.shape} and {labels.shape}")


# Controls matched by slice position: abnormal slices lie in the middle of the body, and a score may know just that.


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
        next_up = bisect_left(free, (wanted, -1))  # -1 is below every row: the first at or above
        near = [i for i in (next_up - 1, next_up) if 0 <= i < len(free)]  # the lower one first, so that it wins a tie
        best = min(near, key=lambda i: abs(free[i][0] - wanted), default=None)
        if best is None or abs(free[best][0] - wanted) > tolerance + 1e-12:  # round-off of positions
            continue
        rows[[row, free.pop(best)[1]]] = True  # each control once
        pairs += 1
    return Matching(rows, pairs, len(abnormal) - pairs)
