"""Choice of how maps become a score, by lesions painted into held-out normal images; no abnormal scan is seen.

Every way of a small family ranks painted images against the normal ones they were painted into. Each kind and size of
lesion counts alike, so that a way must see small ones and diffuse ones. What is chosen on normals is tested on patients
of whom the choice knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from qfae_monai.anomaly.normals import FOLDS, Normals, fold_of
from qfae_monai.anomaly.pooling import PixelPooling, PixelReduction

POOLINGS: tuple[tuple[PixelReduction, float], ...] = (("mean", 1.0), ("top", 0.2), ("top", 0.05), ("max", 1.0))
"""The preferred first."""
MARGIN = 0.08
"""AUROC by which another pooling must be better than a preferred one to be taken in its place.

A painted lesion changes what lies inside of it alone, so that a map's peak finds it; a disease changes more than what
is drawn of it. On real scans a mean was better by up to 0.12 where painted lesions called a peak better by 0.05.
"""
ERRORS = 3.0
"""Or times as many errors, 1 - AUROC, as a preferred one leaves: near 1 a difference cannot be large.

On phantoms in DINOv2's features a mean had 0.984 by painted lesions and 0.966 by others, a peak 0.997 and above 0.99.
"""
CLOSE = 0.005
"""The same between ways of one pooling, of which those of more maps and with standardised maps come first."""
FEWEST = 5  # painted images of a kind and size for an AUROC of their own
PART = 32  # images pooled at a time


@dataclass(frozen=True)
class Scored:
    """Images with the maps that a network gave them.

    Attributes:
        image: (N, 1, H, W), normalised.
        maps: (N, L, H, W).
        patient: of each.
        position: (N,) along the stack; None of images without one.
    """

    image: Tensor
    maps: Tensor
    patient: Sequence[str]
    position: Tensor | None


@dataclass(frozen=True)
class Way:
    """A way from maps to a score, by the names of a model's settings.

    Attributes:
        settings: values that replace the preset's.
        auroc: mean over kinds and sizes of painted lesions.
        by_kind: mean AUROC over sizes, by kind of lesion.
    """

    settings: dict[str, Any]
    auroc: float
    by_kind: dict[str, float]


def choose_way(
    normal: Scored,
    painted: Scored,
    cells: Sequence[tuple[str, float]],
    normals: Normals,
    *,
    body_above: float,
    layer_sets: Sequence[Sequence[int]],
) -> tuple[Way, list[Way]]:
    """The way that tells painted images from normal ones best, and all that were tried.

    Args:
        normal: held-out normal images.
        painted: the same with a lesion each.
        cells: kind and size of the lesion of each painted image.
        normals: statistics of `normal`; each image is standardised by those of other patients.
        body_above: value of a normalised image above which a pixel is body.
        layer_sets: numbers of maps to take together, the preferred first.

    Raises:
        ValueError: if there are too few painted images for any kind and size.
    """
    groups = _groups(cells)
    tried = []
    for (standardised, (how, share), body), numbers in _pooled(normal, painted, normals, body_above):
        for layers in layer_sets:
            well, ill = (part[:, list(layers)].mean(1) for part in numbers)  # (N,) each
            settings = {
                "score_layers": list(layers),
                "score_standardised": standardised,
                "score_over_pixels": how,
                "score_share": share if how == "top" else 0.05,
                "score_body": body,
            }
            tried.append(Way(settings, *_auroc(well, ill, groups)))
    return _best(tried), tried


def _best(tried: Sequence[Way]) -> Way:
    """The best way of the first pooling that is good enough."""
    best = max(way.auroc for way in tried)
    goal = max(best - MARGIN, 1 - ERRORS * (1 - best) - CLOSE)
    for how, share in POOLINGS:
        same = [way for way in tried if _pools(way, how, share)]
        top = max(way.auroc for way in same)
        if top >= goal:
            break
    return next(way for way in same if way.auroc >= top - CLOSE)


def _pools(way: Way, how: str, share: float) -> bool:
    """Whether a way pools over pixels so."""
    settings = way.settings
    return settings["score_over_pixels"] == how and (how != "top" or settings["score_share"] == share)


def _groups(cells: Sequence[tuple[str, float]]) -> dict[tuple[str, float], NDArray[np.int64]]:
    """Rows of painted images by kind and size, of those that are enough."""
    rows = {cell: np.array([row for row, one in enumerate(cells) if one == cell]) for cell in dict.fromkeys(cells)}
    enough = {cell: found for cell, found in rows.items() if len(found) >= FEWEST}
    if not enough:
        raise ValueError(
            f"expected at least {FEWEST} painted lesions of a kind and size to choose a score by, got "
            f"{len(cells)} of {len(rows)} kinds and sizes"
        )
    return enough


def _pooled(
    normal: Scored, painted: Scored, normals: Normals, above: float
) -> Iterator[tuple[tuple[bool, tuple[str, float], bool], tuple[NDArray, NDArray]]]:
    """Settings, and a number of each image and map: (N, L) of the normal and of the painted ones."""
    partly = bool((normal.image <= above).any())  # without background, all is body
    for standardised in (True, False):
        both = [_standardised(scored, normals) if standardised else scored.maps for scored in (normal, painted)]
        for (how, share), body in product(POOLINGS, (True, False) if partly else (False,)):
            pool = PixelPooling(how, share=share, above=above if body else None)
            found = [_pool(pool, maps, scored) for maps, scored in zip(both, (normal, painted), strict=True)]
            yield (standardised, (how, share), body), (found[0], found[1])


def _pool(pool: PixelPooling, maps: Tensor, scored: Scored) -> NDArray:
    parts = zip(maps.split(PART), scored.image.split(PART), strict=True)
    return torch.cat([pool(some, images) for some, images in parts]).cpu().numpy()


def _standardised(scored: Scored, normals: Normals) -> Tensor:
    """Maps by the statistics of the other patients' normal ones."""
    folds = torch.tensor([fold_of(patient) for patient in scored.patient])
    found = torch.empty_like(scored.maps)
    for fold in range(FOLDS):
        rows = folds == fold
        if rows.any():
            places = None if scored.position is None else scored.position[rows]
            found[rows] = normals.maps[str(fold)](scored.maps[rows], places)
    return found


def painted_auroc(well: NDArray, ill: NDArray, cells: Sequence[tuple[str, float]]) -> tuple[float, dict[str, float]]:
    """AUROC of painted images against normal ones: mean over kinds and sizes, and by kind; each counts alike.

    Args:
        well: (N,) scores of normal images.
        ill: (M,) scores of painted ones.
        cells: kind and size of the lesion of each painted image.

    Raises:
        ValueError: if there are too few painted images for any kind and size.
    """
    return _auroc(well, ill, _groups(cells))


def _auroc(
    well: NDArray, ill: NDArray, groups: dict[tuple[str, float], NDArray[np.int64]]
) -> tuple[float, dict[str, float]]:
    by_cell = {
        cell: float(roc_auc_score(np.r_[np.zeros(len(well)), np.ones(len(rows))], np.r_[well, ill[rows]]))
        for cell, rows in groups.items()
    }
    kinds = dict.fromkeys(kind for kind, _ in by_cell)
    by_kind = {kind: float(np.mean([value for cell, value in by_cell.items() if cell[0] == kind])) for kind in kinds}
    return float(np.mean(list(by_cell.values()))), by_kind
