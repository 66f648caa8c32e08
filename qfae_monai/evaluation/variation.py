"""How much reconstructions vary over normal images, and how much the images do: does a model follow its input?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from qfae_monai.evaluation.engine_output import plain, scored_slices
from qfae_monai.files import read_object, write_json
from qfae_monai.files.schema import number, record, whole

FILE = "variation.json"
VARIATION = record({"normal_slices": whole(), "images": number(0), "reconstructions": number(0)})
SIDE = 64  # pixels, of the square at which slices of all grids are compared
KEYS = ("image", "reconstruction")


@dataclass
class Variation:
    """Sums over normal slices, from which the variance of each pixel over slices follows.

    count: slices. totals: (2, SIDE, SIDE), of images and reconstructions. squares: (2,), of all values.
    """

    count: int = 0
    totals: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, SIDE, SIDE)))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def add(self, found: Mapping[str, Any], axis: int) -> None:
        """Add the normal slices of a case of an evaluator's output; nothing where no reconstruction was kept."""
        if any(found.get(key) is None for key in KEYS):
            return
        scores, labels = (plain(found[key]).reshape(-1) for key in ("slice_scores", "slice_labels"))
        normal = labels[~scores.isnan()] == 0  # (scored slices,)
        if not normal.any():
            return
        slices = torch.stack([_squares(scored_slices(found, key, axis)[normal]) for key in KEYS])  # (2, n, SIDE, SIDE)
        self.count += slices.shape[1]
        self.totals += slices.sum(1).numpy()
        self.squares += slices.square().sum((1, 2, 3)).numpy()

    @staticmethod
    def merge(parts: Sequence[Variation]) -> Variation:
        """Of all slices together."""
        merged = Variation()
        for part in parts:
            merged.count += part.count
            merged.totals += part.totals
            merged.squares += part.squares
        return merged

    def save(self, folder: Path) -> None:
        """Write the variances, mean over pixels, into a run folder; nothing, and no older file, for under 2 slices."""
        if self.count < 2:
            (folder / FILE).unlink(missing_ok=True)
            return
        means = self.totals / self.count
        images, reconstructions = (self.squares / self.count - np.square(means).sum((1, 2))) / SIDE**2
        write_json(
            folder / FILE,
            {
                "normal_slices": self.count,
                "images": _written(images),
                "reconstructions": _written(reconstructions),
            },
        )


def read_variation(folder: Path) -> dict[str, Any] | None:
    """What a run folder says; None where nothing was kept.

    Raises:
        ValueError: if the file is not what `Variation.save` writes.
    """
    path = folder / FILE
    return read_object(path, VARIATION, what="variances over normal slices") if path.is_file() else None


def merge_variations(found: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Of several folds, weighted by their slices; None where one of them kept nothing."""
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    weights = [one["normal_slices"] for one in known]
    means = {
        key: float(np.average([one[key] for one in known], weights=weights)) for key in ("images", "reconstructions")
    }
    return {"normal_slices": sum(weights), **means}


def ratio(variation: Mapping[str, Any] | None) -> float:
    """Standard deviation of the reconstructions over that of the images; NaN where unknown or images are all alike."""
    if variation is None or not variation["images"]:
        return math.nan
    return math.sqrt(variation["reconstructions"] / variation["images"])


def _written(variance: float) -> float:
    """Nine digits, as in tables: the order in which processes add up is not seen."""
    return float(f"{max(variance, 0.0):.9g}")


def _squares(slices: torch.Tensor) -> torch.Tensor:
    """(N, H, W) -> (N, SIDE, SIDE) float64."""
    size = (SIDE, SIDE)
    return F.interpolate(slices[:, None].float(), size, mode="bilinear", align_corners=False, antialias=True)[
        :, 0
    ].double()
