"""How far the surface of a thresholded map lies from that of the lesions, in mm: MONAI's figures, in one pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

TOLERANCE = 2.0
"""mm within which a piece of surface counts as right for the surface Dice."""


class Surfaces(NamedTuple):
    """Of two masks, as MONAI computes them.

    surface_distance: symmetric average, mm, of `compute_average_surface_distance`. hausdorff95: mm, 95th percentile of
    each direction, the larger of both, of `compute_hausdorff_distance`. surface_dice: share of both surfaces within
    `TOLERANCE` of the other, of `compute_surface_dice`. NaN without a lesion; where only the map's mask is empty,
    the distances are NaN and the surface Dice is 0, as MONAI has it.
    """

    surface_distance: float
    hausdorff95: float
    surface_dice: float


def surfaces(called: NDArray[np.bool_], lesion: NDArray[np.bool_], spacing: list[float]) -> Surfaces:
    """Compare the surfaces of two masks; an edge of the image is a surface, too.

    MONAI's three functions would each find the edges and distances anew, for more than evaluating a case may cost.

    Args:
        called: (X, Y, Z), above the threshold.
        lesion: same shape.
        spacing: mm, of a voxel along each axis.
    """
    if not (called.any() and lesion.any()):
        return Surfaces(float("nan"), float("nan"), 0.0 if lesion.any() else float("nan"))
    step = np.asarray(spacing, dtype=np.float64)
    ours, theirs = (_edge(mask) * step for mask in (called, lesion))  # (voxels, 3), mm
    distances = [_nearest(ours, theirs), _nearest(theirs, ours)]
    both = np.concatenate(distances)
    return Surfaces(
        float(both.mean()),
        float(max(np.quantile(part, 0.95) for part in distances)),
        float((both <= TOLERANCE).mean()),
    )


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Places (voxels, 3) of a mask's voxels that have a neighbour outside across a face."""
    turned = not mask.flags.c_contiguous  # volumes that are read from files: their memory is in the order of the axes
    kept = mask.T if turned else mask
    inner = kept.copy()
    for axis in range(kept.ndim):
        along, own = np.moveaxis(kept, axis, 0), np.moveaxis(inner, axis, 0)
        own[1:] &= along[:-1]
        own[:-1] &= along[1:]
        own[[0, -1]] = False
    places = np.argwhere(kept & ~inner)
    return places[:, ::-1] if turned else places


def _nearest(places: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float32]:
    """Distance of each place to the nearest of others, mm."""
    tree = KDTree(others, leafsize=64, balanced_tree=False)  # built for one query
    return tree.query(places)[0].astype(np.float32)  # single precision, as MONAI has it at its tolerance
