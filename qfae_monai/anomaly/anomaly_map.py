"""Anomaly map, image score and volume score, from distance maps (paper section 3.5, supplement 6.3)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from qfae_monai.networks.encoders import as_three_channels

Reduction = Literal["max", "mean"]


class AnomalyResult(NamedTuple):
    """Anomaly maps and scores of a batch of images.

    anomaly_map: (B, 1, H, W), higher is more abnormal.
    score: (B,), one number per image.
    """

    anomaly_map: Tensor
    score: Tensor


class AnomalyScorer(nn.Module):
    """Score an image by its distance from its reconstruction.

    Args:
        distance: called with (reconstruction, image), returns maps (B, L, H, W): a `PerceptualLoss` with
            `reduction="none"`, or an element-wise loss such as `torch.nn.L1Loss(reduction="none")`.
        score_over_pixels: how a map becomes a number; `max` by default, `mean` for RSNA (Table 10).
        score_over_layers: how the numbers of all layers become one; `mean` by default, `max` for RSNA.
        map_over_layers: how the maps of all layers become one; `mean` in tables and released configuration, `max` in
            the supplement's formula.

    Raises:
        ValueError: for an unknown reduction or a distance that returns a scalar.
    """

    def __init__(
        self,
        distance: nn.Module,
        *,
        score_over_pixels: Reduction = "max",
        score_over_layers: Reduction = "mean",
        map_over_layers: Reduction = "mean",
    ) -> None:
        super().__init__()
        for name, value in (
            ("score_over_pixels", score_over_pixels),
            ("score_over_layers", score_over_layers),
            ("map_over_layers", map_over_layers),
        ):
            if value not in ("max", "mean"):
                raise ValueError(f"{name} must be 'max' or 'mean', got {value!r}")
        if getattr(distance, "reduction", "none") != "none":
            raise ValueError(f"the scorer's distance needs reduction 'none', got {distance.reduction!r}")
        self.distance = distance
        self.score_over_pixels = score_over_pixels
        self.score_over_layers = score_over_layers
        self.map_over_layers = map_over_layers

    @torch.no_grad()
    def forward(self, image: Tensor, reconstruction: Tensor) -> AnomalyResult:
        """image, reconstruction: (B, 1 or 3, H, W), normalised -> AnomalyResult."""
        layers = self.distance(as_three_channels(reconstruction), as_three_channels(image))  # (B, L, H, W)
        score = _reduce(self.over_pixels(layers, image), self.score_over_layers, dim=-1)  # (B,)
        anomaly_map = _reduce(layers, self.map_over_layers, dim=1)[:, None]  # (B, 1, H, W)
        return AnomalyResult(anomaly_map, score)

    def over_pixels(self, maps: Tensor, image: Tensor) -> Tensor:
        """One number per map; rivals are scored by it, too.

        Args:
            maps: (B, L, H, W), higher is more abnormal.
            image: (B, C, H, W) that they are of, normalised.

        Returns:
            (B, L).
        """
        return _reduce(maps.flatten(2), self.score_over_pixels, dim=-1)


def _reduce(values: Tensor, how: Reduction, dim: int) -> Tensor:
    return values.amax(dim) if how == "max" else values.mean(dim)


# Score of a volume from those of its slices: a choice of ours, for the paper scores slices alone.

SliceReduction = Literal["max", "mean", "top_k"]


class VolumeScore:
    """Score of a volume.

    Args:
        over_slices: `max`, the most abnormal slice; `top_k`, the mean of the k most abnormal ones, steadier where one
            slice may be an artefact; `mean`, of all, for changes that are everywhere.
        k: for `top_k`; a volume with fewer scored slices takes all of them.

    Raises:
        ValueError: for an unknown reduction or a k below 1.
    """

    def __init__(self, over_slices: SliceReduction = "max", k: int = 3) -> None:
        if over_slices not in ("max", "mean", "top_k"):
            raise ValueError(f"over_slices must be 'max', 'mean' or 'top_k', got {over_slices!r}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.over_slices = over_slices
        self.k = k

    def __call__(self, slice_scores: Tensor) -> Tensor:
        """slice_scores: (N,) of the slices that were scored -> scalar.

        >>> VolumeScore("top_k", k=2)(torch.tensor([1.0, 4.0, 2.0])).item()
        3.0
        """
        if self.over_slices == "mean":
            return slice_scores.mean()
        k = 1 if self.over_slices == "max" else min(self.k, len(slice_scores))  # slices
        return torch.topk(slice_scores, k).values.mean()
