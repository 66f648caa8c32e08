"""How far the surface of a thresholded map lies from that of the lesions, in mm, from MONAI's edges and distances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from monai.metrics import get_mask_edges, get_surface_distance
from numpy.typing import NDArray

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

    Args:
        called: (X, Y, Z), above the threshold.
        lesion: same shape.
        spacing: mm, of a voxel along each axis.
    """
    if not (called.any() and lesion.any()):
        return Surfaces(float("nan"), float("nan"), 0.0 if lesion.any() else float("nan"))
    # cropped to both masks with a margin
    edges = get_mask_edges(called, lesion, crop=True)
    one, other = edges[0], edges[1]
    distances = [  # mm, of each voxel of one surface to the nearest of the other
        np.asarray(get_surface_distance(*pair, spacing=spacing)) for pair in ((one, other), (other, one))
    ]
    both = np.concatenate(distances)
    return Surfaces(
        float(both.mean()),
        float(max(np.quantile(part, 0.95) for part in distances)),
        float((both <= TOLERANCE).mean()),
    )
