"""Anomaly maps and scores of images, and of volumes slice by slice, back on the volume's own grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor
from torch.nn import functional as F

from qfae_monai.scoring import AnomalyScorer
from qfae_monai.transforms import ResizedCropRotateFlip
from qfae_monai.transforms.foreground import foreground_mask


class AnomalyInferer(Inferer):
    """Reconstruct and score. Slices that are empty or outside of `index_range` are skipped: their score is NaN.

    Args:
        scorer: image and reconstruction to anomaly map and score.
        image_size: side of the square that the network takes, pixels.
        axis: spatial axis of a volume along which slices are taken.
        index_range: first and last slice (inclusive) to look at; None for all.
        min_foreground: share of pixels above the volume's minimum below which a slice counts as empty.
        batch_size: slices in one forward pass.
        return_reconstruction: also return what the network made of the image.
    """

    def __init__(
        self,
        scorer: AnomalyScorer,
        *,
        image_size: int,
        axis: int = 2,
        index_range: Sequence[int] | None = None,
        min_foreground: float = 0.01,
        batch_size: int = 16,
        return_reconstruction: bool = False,
    ) -> None:
        super().__init__()
        self.scorer = scorer
        self.resize = ResizedCropRotateFlip(image_size)
        self.image_size = image_size
        self.axis = axis
        self.index_range = index_range
        self.min_foreground = min_foreground
        self.batch_size = batch_size
        self.return_reconstruction = return_reconstruction

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Score a batch of images or of volumes.

        Args:
            inputs: images (B, 1 or 3, H, W) of the network's size, or volumes (B, 1, X, Y, Z); normalised.
            network: image (B, C, H, W) to reconstruction (B, 3, H, W).

        Returns:
            `anomaly_map` of the input's spatial shape with one channel, `slice_scores` (B, number of slices; 1 for an
            image) and `score` (B,), the largest slice score; on request `reconstruction`.

        Raises:
            ValueError: if no slice of a volume can be scored.
        """
        images = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        self.scorer.to(images.device)
        with torch.no_grad():
            results = [self._volume(volume, network) for volume in images] if images.dim() == 5 else [
                self._images(images[i : i + self.batch_size], network) for i in range(0, len(images), self.batch_size)
            ]  # fmt: skip
        return {key: torch.cat([result[key] for result in results]) for key in results[0]}

    def _images(self, images: Tensor, network: Callable[..., Tensor]) -> dict[str, Tensor]:
        reconstruction = network(images)
        found = self.scorer(images, reconstruction)
        output = {"anomaly_map": found.anomaly_map, "slice_scores": found.score[:, None], "score": found.score}
        return output | ({"reconstruction": reconstruction[:, :1]} if self.return_reconstruction else {})

    def _volume(self, volume: Tensor, network: Callable[..., Tensor]) -> dict[str, Tensor]:
        """volume: (1, X, Y, Z) -> the same dictionary for a batch of one."""
        slices = volume[0].movedim(self.axis, 0)
        chosen = self._chosen(volume)
        wanted = self.resize(slices[chosen])[:, None].to(slices.dtype)
        parts = [self._images(wanted[i : i + self.batch_size], network) for i in range(0, len(wanted), self.batch_size)]
        scores = slices.new_full((len(slices),), torch.nan)
        scores[chosen] = torch.cat([part["score"] for part in parts]).to(scores.dtype)
        output = {"slice_scores": scores[None], "score": scores[chosen].amax()[None]}
        for key in ("anomaly_map", "reconstruction")[: 1 + self.return_reconstruction]:
            found = torch.cat([part[key] for part in parts])
            stack = torch.zeros_like(slices)
            stack[chosen] = F.interpolate(
                found, size=slices.shape[1:], mode="bilinear", align_corners=False, antialias=True
            )[:, 0].to(stack.dtype)  # fmt: skip
            output[key] = stack.movedim(0, self.axis)[None, None]
        return output

    def _chosen(self, volume: Tensor) -> Tensor:
        """Numbers of the slices to look at."""
        foreground = foreground_mask(volume)[0].movedim(self.axis, 0).flatten(1).float().mean(dim=1)
        varies = volume[0].movedim(self.axis, 0).flatten(1)
        visible = (foreground >= self.min_foreground) & (varies.amax(1) > varies.amin(1))
        if self.index_range is not None:
            first, last = self.index_range
            visible[:first] = False
            visible[last + 1 :] = False
        if not visible.any():
            raise ValueError(
                f"no slice to score: expected at least one of {len(visible)} slices along axis {self.axis} in range "
                f"{self.index_range} with {self.min_foreground:.1%} foreground, got none"
            )
        return visible.nonzero()[:, 0]
