"""Anomaly map, image score and volume score, from distance maps (paper section 3.5, supplement 6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, cast

import torch
from monai.networks.layers import GaussianFilter
from torch import Tensor, nn

from qfae_monai.anomaly.normals import ALL
from qfae_monai.anomaly.pooling import PixelPooling, PixelReduction
from qfae_monai.anomaly.standard_maps import StandardMaps
from qfae_monai.networks.encoders import as_three_channels
from qfae_monai.networks.token_decoder import Decoded

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
        distance: called with (reconstruction, image), returns maps (B, L, H, W): a `PerceptualLoss` or `TokenDistance`
            with `reduction="none"`, or an element-wise loss such as `torch.nn.L1Loss(reduction="none")`.
        score_over_pixels: how a map becomes a number; `max` by default, `mean` for RSNA (Table 10), `top` for the mean
            of the highest pixels.
        score_over_layers: how the numbers of all layers become one; `mean` by default, `max` for RSNA.
        map_over_layers: how the maps of all layers become one; `mean` in tables and released configuration, `max` in
            the supplement's formula.
        share: of the pixels, for `top`.
        body_above: value of a normalised image above which a pixel counts for the score; None where all do.
        smoothing: standard deviation of a Gaussian, in pixels, by which maps are smoothed; 0 for none.
        layers: numbers of the maps that count; None for all.
        normals: by which maps are standardised; None where they are not.
        neighbours: distance of the encoder's tokens from those of normal images, whose maps stand behind those of
            `distance`; None where there is none.

    Raises:
        ValueError: for an unknown reduction or a distance that returns a scalar.
    """

    def __init__(
        self,
        distance: nn.Module,
        *,
        score_over_pixels: PixelReduction = "max",
        score_over_layers: Reduction = "mean",
        map_over_layers: Reduction = "mean",
        share: float = 0.05,
        body_above: float | None = None,
        smoothing: float = 0.0,
        layers: Sequence[int] | None = None,
        normals: Mapping[str, StandardMaps] | None = None,
        neighbours: nn.Module | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("score_over_layers", score_over_layers), ("map_over_layers", map_over_layers)):
            if value not in ("max", "mean"):
                raise ValueError(f"{name} must be 'max' or 'mean', got {value!r}")
        if getattr(distance, "reduction", "none") != "none":
            raise ValueError(f"the scorer's distance needs reduction 'none', got {distance.reduction!r}")
        if not smoothing >= 0:
            raise ValueError(f"smoothing must be at least 0, got {smoothing}")
        self.distance, self.neighbours = distance, neighbours
        self.pool = PixelPooling(score_over_pixels, share=share, above=body_above)
        self.score_over_pixels, self.score_over_layers = score_over_pixels, score_over_layers
        self.map_over_layers = map_over_layers
        self.layers = None if layers is None else list(layers)
        self.smooth = GaussianFilter(2, smoothing) if smoothing > 0 else nn.Identity()
        self.normals = None if normals is None else nn.ModuleDict(normals)

    @torch.no_grad()
    def forward(
        self,
        image: Tensor,
        reconstruction: Tensor | Decoded,
        position: Tensor | None = None,
        *,
        without: int | None = None,
    ) -> AnomalyResult:
        """Score a batch.

        Args:
            image: (B, 1 or 3, H, W), normalised.
            reconstruction: of it, as the network gives it.
            position: (B,) of slices along their stack, in [0, 1]; None of images without one.
            without: fold of the normals that maps are not standardised by (`fold_of`); None for all normals.
        """
        maps = self.standardised(self.maps(image, reconstruction, position), position, without)  # (B, L, H, W)
        # (B,): over the pixels of each layer, then over layers
        score = _reduce(self.over_pixels(maps, image), self.score_over_layers, dim=-1)
        anomaly_map = _reduce(maps, self.map_over_layers, dim=1)[:, None]  # (B, 1, H, W)
        # less than a normal scan's is no sign of anything, and a map starts at 0
        return AnomalyResult(anomaly_map if self.normals is None else anomaly_map.clamp_min(0), score)

    @torch.no_grad()
    def maps(self, image: Tensor, reconstruction: Tensor | Decoded, position: Tensor | None = None) -> Tensor:
        """Smoothed maps of all layers that count, as they are, (B, L, H, W); arguments as in `forward`."""
        if isinstance(reconstruction, Tensor):
            reconstruction, image = as_three_channels(reconstruction), as_three_channels(image)
        layers = self.distance(reconstruction, image)  # (B, L, H, W)
        if self.neighbours is not None:
            layers = torch.cat([layers, self.neighbours(reconstruction, position)], dim=1)
        return self.smooth(layers if self.layers is None else layers[:, self.layers])

    def standardised(self, maps: Tensor, position: Tensor | None = None, without: int | None = None) -> Tensor:
        """Maps (B, L, H, W) in standard deviations of normal ones; as they are where the score has no normals."""
        if self.normals is None:
            return maps
        return self.normals[ALL if without is None else str(without)](maps, position)

    @property
    def looks_at_position(self) -> bool:
        """Whether a slice's place along its stack changes its score."""
        by_place = () if self.normals is None else cast("Iterable[StandardMaps]", self.normals.children())
        return getattr(self.neighbours, "places", None) is not None or any(len(one.location) > 1 for one in by_place)

    def over_pixels(self, maps: Tensor, image: Tensor) -> Tensor:
        """One number per map; rivals are scored by it, too.

        Args:
            maps: (B, L, H, W), higher is more abnormal.
            image: (B, C, H, W) that they are of, normalised.

        Returns:
            (B, L).
        """
        return self.pool(maps, image)


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
