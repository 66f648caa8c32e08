"""Survey of a training set before a pretraining, and `flagged.csv` after it: the images that are unlike all others."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.config import KeysCollection
from monai.networks import eval_mode
from monai.transforms import MapTransform
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.utils.data import Dataset

from qfae_monai.anomaly.rivals import FORWARD_BATCH, patch_features
from qfae_monai.data.fingerprint import source_fingerprint
from qfae_monai.pretraining.curves import Row, write_rows
from qfae_monai.training.processes import is_writer

# Survey of a pretraining's data: every image is read once, before the first step.

SIZE_KEY = "read_size"
ASPECT_TOLERANCE = 0.05
"""Aspect ratios that differ by more, relatively, are worth a word: images are stretched to a square."""

logger = logging.getLogger(__name__)


class CheckImaged(MapTransform):
    """Refuse a constant image or one that is not finite, and note its size, "rows x columns", under `read_size`.

    Args:
        keys: the image's key.

    Raises:
        ValueError: naming case and slice.
    """

    def __init__(self, keys: KeysCollection = "image") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            image = torch.as_tensor(d[key])
            low, high = float(image.min()), float(image.max())
            if not low < high or not bool(torch.isfinite(image).all()):
                raise ValueError(
                    f"{image_name(d)}: expected an image of finite, differing pixels, got {low:g} to {high:g}"
                )
            d[SIZE_KEY] = " x ".join(map(str, image.shape[-2:]))
        return d


def image_name(item: Mapping[Hashable, Any]) -> str:
    """Case and, of a volume, slice."""
    name = str(item.get("case", "an image"))
    return f"{name}, slice {item['slice_index']}" if "slice_index" in item else name


@dataclass(frozen=True)
class Survey:
    """Of a training set.

    Attributes:
        images: how many.
        sha256: of the content of the files that they come from, whatever their order, names and places.
        sizes: number of images by size as read.
    """

    images: int
    sha256: str
    sizes: Mapping[str, int]


def survey_data(dataset: Dataset, entries: Iterable[Mapping[str, Any]]) -> Survey:
    """Go through a training set once.

    Args:
        dataset: what is trained on, behind a `CheckImaged`.
        entries: of the data list that it was made of.

    Raises:
        ValueError: if an image is constant or not finite; the message names it.
    """
    count = len(cast(Sized, dataset))
    sizes = Counter(cast(Mapping[str, str], dataset[index])[SIZE_KEY] for index in range(count))
    _warn_of_sizes(sizes)
    parts = sorted(source_fingerprint(entry) for entry in entries)
    return Survey(count, hashlib.sha256("\n".join(parts).encode()).hexdigest(), dict(sorted(sizes.items())))


def _warn_of_sizes(sizes: Mapping[str, int]) -> None:
    ratios = {name: float(rows) / float(columns) for name in sizes for rows, columns in [name.split(" x ")]}
    if max(ratios.values()) > min(ratios.values()) * (1 + ASPECT_TOLERANCE):
        listed = ", ".join(f"{count} of {name}" for name, count in sizes.items())
        logger.warning(
            "expected images of one aspect ratio, got %s pixels: each is stretched to the same square, so "
            "that anatomy is seen in several proportions; crop or pad them alike first",
            listed,
        )


class TrainingSetReview:
    """Write the training images with the highest nearest-neighbour scores when a run is complete.

    An image is compared with the training images of other cases only: its neighbours in the same scan would hide it.

    Args:
        path: of the CSV: `case`, `slice`, `score`, and `ratio`, the score as a multiple of the median score.
        trunk: the trained network, in whose features is compared.
        dataset: of the training images, normalised, not augmented: `image` (1, H, W), `case` and, of a volume,
            `slice_index`.
        blocks: whose states are used; negative numbers count from the end.
        max_reference: with how many images each is compared; from more they are drawn at random.
        flagged: how many rows.
        seed: of that draw.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        trunk: VisionTransformer,
        dataset: Dataset,
        *,
        blocks: Sequence[int] = (-1,),
        max_reference: int = 300,
        flagged: int = 20,
        seed: int = 0,
    ) -> None:
        self.path, self.trunk, self.dataset = Path(path), trunk, dataset
        self.blocks = [block % len(trunk.blocks) for block in blocks]
        self.max_reference, self.flagged, self.seed = max_reference, flagged, seed

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if not is_writer():
            return
        rows = self.rows()[: self.flagged]
        write_rows(self.path, rows)
        logger.info(
            "%s: the %d training images least like the others, to be looked at; the first, %s, scores %.2f "
            "times the median",
            self.path,
            len(rows),
            rows[0]["case"],
            rows[0]["ratio"],
        )

    def rows(self) -> list[Row]:
        """All training images, the least like the others first."""
        count = len(cast(Sized, self.dataset))
        # (M,) numbers of images
        drawn = np.sort(np.random.default_rng(self.seed).permutation(count)[: self.max_reference])
        with torch.no_grad(), eval_mode(self.trunk):
            reference, groups = zip(*(self._look(part) for part in _parts(drawn)), strict=True)
            known, cases = (
                torch.cat(reference).movedim(1, 0),  # (P, M, D)
                np.array([_case(item) for part in groups for item in part]),
            )
            rows = [row for part in _parts(np.arange(count)) for row in self._score(part, known, cases)]
        median = float(np.median([row["score"] for row in rows]))
        rows.sort(key=lambda row: -row["score"])
        return [{**row, "ratio": row["score"] / median if median else 1.0} for row in rows]

    def _look(self, indices: np.ndarray) -> tuple[Tensor, list[Mapping[str, Any]]]:
        """Features (B, P, D) of some images, and what they are."""
        items = [cast(Mapping[str, Any], self.dataset[int(index)]) for index in indices]
        # (B, 1, H, W)
        images = torch.stack([torch.as_tensor(item["image"]).as_subclass(Tensor)[:1].float() for item in items])
        device = next(self.trunk.parameters()).device
        return patch_features(self.trunk, images.to(device), self.blocks), items

    def _score(self, indices: np.ndarray, known: Tensor, cases: np.ndarray) -> list[Row]:
        features, items = self._look(indices)
        # (B, M), True where both are of one case
        own = torch.from_numpy(np.array([_case(item) for item in items])[:, None] == cases).to(known.device)
        own[own.all(dim=1)] = False  # a single case: nothing else to compare with
        distances = torch.cdist(features.movedim(1, 0), known).masked_fill(own, torch.inf)  # (P, B, M)
        # (B,): the nearest normal patch at each place, then the place that is furthest from its own
        scores = distances.amin(dim=2).amax(dim=0).tolist()
        return [
            {"case": _case(item), "slice": item.get("slice_index"), "score": score}
            for item, score in zip(items, scores, strict=True)
        ]


def _parts(indices: np.ndarray) -> list[np.ndarray]:
    return [indices[start : start + FORWARD_BATCH] for start in range(0, len(indices), FORWARD_BATCH)]


def _case(item: Mapping[str, Any]) -> str:
    return str(item.get("case", ""))
