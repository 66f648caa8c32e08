"""What a model makes of one study: map, mask and scores, and the slices of its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from qfae_monai.evaluation.pictures import choose_slices
from qfae_monai.transforms.grey_slices import GreySlices

COVERED = 0.5  # of a scan's slices with foreground have to be scored for a p-value
SHOWN = 6  # slices of a study in its picture


@dataclass(frozen=True)
class Shown:
    """Slices of a study for its picture.

    Attributes:
        numbers: (n,) of the slices.
        image, anomaly_map: (X, Y, Z) in RAS orientation with these slices alone along the slice axis; or (H, W).
        darkest: least grey value of the whole study.
        spacing: of its voxels in mm; None of an image.
    """

    numbers: NDArray[np.intp]
    image: NDArray[np.float32]
    anomaly_map: NDArray[np.float32]
    darkest: float
    spacing: tuple[float, ...] | None = None


@dataclass
class Prepared:
    """A study on its way to the network.

    Attributes:
        data: what the transforms gave: `image`, on the grid that is looked at.
        slices: of a volume; None of an image.
    """

    data: dict[Any, Any]
    slices: GreySlices | None = None


@dataclass(frozen=True)
class Prediction:
    """Prediction for one study.

    anomaly_map: (X, Y, Z) float32 on the input's own grid; mask: uint8, 1 is above the threshold, None without one.
    score: of the volume; slice_scores: (slices,), NaN where a slice was skipped; along `axis` of the RAS orientation.
    empty, outside: slices skipped for either reason; visible: with foreground, scored or out of range.
    shown: for the picture.
    """

    anomaly_map: NDArray[np.float32]
    mask: NDArray[np.uint8] | None
    score: float
    slice_scores: NDArray[np.float64]
    axis: int
    empty: int
    outside: int
    visible: int
    shown: Shown = field(repr=False)

    @property
    def uncovered(self) -> tuple[str, ...]:
        """A sentence where too little was scored for a p-value: thresholds are of scans that were looked at whole."""
        scored = int((~np.isnan(self.slice_scores)).sum())  # slices
        if scored >= COVERED * self.visible:
            return ()
        return (
            f"{scored} of {self.visible} slices with foreground were scored, less than half: no p-value, no verdict",
        )


def shown_of(slices: GreySlices, output: Mapping[str, torch.Tensor]) -> Shown:
    """The slices of a volume for its picture."""
    numbers = choose_slices(output["slice_scores"][0].cpu().numpy(), None, max_slices=SHOWN)
    wanted, axis = torch.from_numpy(numbers), slices.axis
    maps = output["anomaly_map"][0, 0].movedim(axis, 0)[wanted].cpu()  # (n, h, w)
    image, heat = (part.movedim(0, axis).numpy() for part in (slices[wanted], maps))  # (X, Y, Z)
    affine = np.asarray(cast(MetaTensor, slices.volume).affine)  # RAS+ mm
    spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    return Shown(numbers, image, heat, slices.extremes[0], spacing)
