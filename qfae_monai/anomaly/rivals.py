"""Training-free anomaly maps to show beside the method's: the mean image, and nearest neighbours.

Both learn from the same normal slices that the autoencoder was trained on, when they are first used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from qfae_monai.anomaly.anomaly_map import AnomalyResult, AnomalyScorer
from qfae_monai.networks import QFAE
from qfae_monai.networks.encoders import as_three_channels, block_index, hidden_states

FORWARD_BATCH = 16  # images


class NormalImages:
    """Normal images to compare with, drawn from a training set and kept; read when they are first asked for.

    Args:
        dataset: makes a dataset of normal images, `image` (1 or 3, H, W), preprocessed as the test images are.
        max_images: how many to keep; from more they are drawn at random.
        seed: of that draw.

    Raises:
        ValueError: for a max_images below 1.
    """

    def __init__(self, dataset: Callable[[], Dataset[Mapping[str, Any]]], max_images: int = 200, seed: int = 0) -> None:
        if max_images < 1:
            raise ValueError(f"max_images must be at least 1, got {max_images}")
        self.dataset = dataset
        self.max_images = max_images
        self.seed = seed

    @cached_property
    def items(self) -> list[dict[str, Any]]:
        """What is known of each of M images: `image` (1 or 3, H, W), `patient` and, of slices, `position` in [0, 1]."""
        dataset: Any = self.dataset()
        # (M,) numbers of items
        drawn = np.random.default_rng(self.seed).permutation(len(cast(Sized, dataset)))[: self.max_images]
        found = []
        for index in np.sort(drawn).tolist():
            # a transform may have left out what says whose image it is
            item = {**dataset.data[index], **dataset[index]} if hasattr(dataset, "data") else dataset[index]
            patient = str(item.get("patient", item.get("case", index)))
            image = torch.as_tensor(item["image"]).as_subclass(Tensor).float()
            found.append({"image": image, "patient": patient, "position": item.get("position")})
        return found

    @cached_property
    def images(self) -> Tensor:
        """(M, 1 or 3, H, W)."""
        return torch.stack([item["image"] for item in self.items])

    @property
    def patients(self) -> list[str]:
        """Of each image; its case where that is not known."""
        return [item["patient"] for item in self.items]

    @property
    def positions(self) -> Tensor | None:
        """(M,) along the stack, in [0, 1]; None of images without one."""
        found = [item["position"] for item in self.items]
        return None if None in found else torch.tensor(found, dtype=torch.float32)


Pool = Callable[[Tensor, Tensor], Tensor]
"""Maps (B, L, H, W) and the images (B, C, H, W) that they are of -> one number per map, (B, L)."""


def largest(maps: Tensor, image: Tensor) -> Tensor:
    """The maximum over pixels, a `Pool`."""
    return maps.flatten(2).amax(-1)


class Rival(ABC):
    """A training-free anomaly map.

    Args:
        reference: normal images that it learns from at its first call.
    """

    def __init__(self, reference: NormalImages) -> None:
        self.reference = reference
        self._learned: Tensor | None = None

    def __call__(self, image: Tensor, position: Tensor | None = None) -> AnomalyResult:
        """Compare a batch with what was learned.

        Args:
            image: (B, 1 or 3, H, W), normalised.
            position: (B,) of slices along their stack, in [0, 1]; None of images without one.
        """
        with torch.no_grad():
            if self._learned is None:
                self._learned = self.learn(self.reference.images.to(image.device))
            return self.compare(image, self._learned, position)

    @abstractmethod
    def learn(self, images: Tensor) -> Tensor:
        """Normal images (M, 1 or 3, H, W) -> what is kept of them."""

    @abstractmethod
    def compare(self, image: Tensor, learned: Tensor, position: Tensor | None) -> AnomalyResult:
        """Image (B, C, H, W), what was kept, and position (B,) -> map (B, 1, H, W) and score (B,)."""


class MeanImage(Rival):
    """The mean of the normal images in the place of the reconstruction, through the method's own score.

    A model that does not beat it has learned nothing of the single image that helps.

    Args:
        reference: normal images.
        scorer: image and reconstruction to map and score, as the model's own.
        network: the model's own, which says what a picture is in the place of its reconstruction; None for the picture.
    """

    def __init__(self, reference: NormalImages, scorer: AnomalyScorer, network: nn.Module | None = None) -> None:
        super().__init__(reference)
        self.scorer, self.network = scorer, network

    def learn(self, images: Tensor) -> Tensor:
        return images.mean(dim=0, keepdim=True)  # (1, 1 or 3, H, W)

    def compare(self, image: Tensor, learned: Tensor, position: Tensor | None) -> AnomalyResult:
        stand_in = self.network.stand_in if isinstance(self.network, QFAE) else _as_it_is
        found = stand_in(learned, image)  # the reconstruction
        return self.scorer.to(image.device)(image, found, position)


def _as_it_is(picture: Tensor, image: Tensor) -> Tensor:
    return picture.expand(len(image), -1, -1, -1)


class PooledRival(Rival):
    """A rival whose map alone is its own: it is scored as the method's maps are.

    Args:
        reference: normal images.
        pool: one number for a map, such as the scorer's `over_pixels`.
    """

    def __init__(self, reference: NormalImages, *, pool: Pool = largest) -> None:
        super().__init__(reference)
        self.pool = pool

    def compare(self, image: Tensor, learned: Tensor, position: Tensor | None) -> AnomalyResult:
        anomaly_map = self.distance(image, learned)
        return AnomalyResult(anomaly_map, self.pool(anomaly_map, image)[:, 0])

    @abstractmethod
    def distance(self, image: Tensor, learned: Tensor) -> Tensor:
        """Image (B, C, H, W) and what was kept -> map (B, 1, H, W)."""


class MeanDistance(PooledRival):
    """|image - mean of the normal images|: anatomy that stands still and a lesion's brightness need nothing more."""

    def learn(self, images: Tensor) -> Tensor:
        return images.mean(dim=0, keepdim=True)  # (1, 1 or 3, H, W)

    def distance(self, image: Tensor, learned: Tensor) -> Tensor:
        return (image - learned).abs().mean(1, keepdim=True)


class NearestNeighbours(PooledRival):
    """Distance of each patch to the nearest normal patch at the same place, in the frozen encoder's own features.

    As PatchCore (Roth et al. 2022) without its core set, and position-wise, as anatomy allows: tokens of the encoder's
    blocks, normalised over channels and averaged over blocks, Euclidean distance, resized bilinearly.

    Args:
        trunk: a timm vision transformer, the encoder's.
        reference: normal images; memory is their number * patches * width * 4 bytes.
        blocks: whose states are used; negative numbers count from the end.
        pool: as in `PooledRival`.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        reference: NormalImages,
        *,
        blocks: Sequence[int] = (-2, -4),
        pool: Pool = largest,
    ) -> None:
        super().__init__(reference, pool=pool)
        self.trunk = trunk
        self.blocks = [block_index(block, len(trunk.blocks)) for block in blocks]

    def learn(self, images: Tensor) -> Tensor:
        self.trunk.to(images.device)  # one of its own is part of no network that was moved
        features = [self._features(batch) for batch in images.split(FORWARD_BATCH)]
        return torch.cat(features).movedim(1, 0).contiguous()  # (patches, M, D) of M normal images

    def distance(self, image: Tensor, learned: Tensor) -> Tensor:
        features = self._features(image).movedim(1, 0)  # (patches, B, D) against (patches, references, D)
        nearest = torch.cdist(features, learned).amin(dim=2).T  # (B, patches)
        rows, columns = self.trunk.patch_embed.grid_size
        return F.interpolate(
            nearest.reshape(-1, 1, rows, columns), size=image.shape[2:], mode="bilinear", align_corners=False
        )

    def _features(self, image: Tensor) -> Tensor:
        return patch_features(self.trunk, image, self.blocks)


def patch_features(trunk: VisionTransformer, image: Tensor, blocks: Sequence[int]) -> Tensor:
    """Patch tokens of a trunk's blocks, normalised over channels, mean over blocks: (B, C, H, W) -> (B, patches, D)."""
    states = hidden_states(trunk, as_three_channels(image), blocks)  # (B, prefix + patches, D) by block
    tokens = torch.stack([state[:, trunk.num_prefix_tokens :] for state in states])  # (blocks, B, patches, D)
    return F.layer_norm(tokens.float(), tokens.shape[-1:]).mean(dim=0)
