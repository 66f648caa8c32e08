"""Anomaly maps and scores of images, and of volumes slice by slice, back on the volume's own grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor
from torch.nn import functional as F

from qfae_monai.anomaly.anomaly_map import AnomalyResult, AnomalyScorer, VolumeScore
from qfae_monai.transforms import ResizedCropRotateFlip, source_name
from qfae_monai.transforms.grey_slices import GreySlices
from qfae_monai.transforms.slice_choice import SliceChoice, places_along


class AnomalyInferer(Inferer):
    """Reconstruct and score. Slices that are empty, or outside of range or share, are skipped: their score is NaN.

    Memory is that of one volume and its maps, whatever the number of volumes.

    Args:
        scorer: image and reconstruction to anomaly map and score; None where the network that is called is a whole
            graph that scores, too: `AnomalyDetector`, or `OnnxDetector` for another runtime.
        image_size: side of the square that the network takes, pixels.
        axis: spatial axis of a volume along which slices are taken.
        index_range: first and last slice (inclusive) to look at; None for all.
        share: of the foreground's extent to look at instead, as in `SliceChoice`; None for all.
        min_foreground: share of pixels that are foreground below which a slice counts as empty.
        batch_size: slices in one forward pass.
        volume_score: slice scores to the score of a volume; the largest by default.
        return_reconstruction: also return what the network made of the image.
        rivals: name -> training-free map of the same images, computed beside the method's.
    """

    def __init__(
        self,
        scorer: AnomalyScorer | None,
        *,
        image_size: int,
        axis: int = 2,
        index_range: Sequence[int] | None = None,
        share: Sequence[float] | None = None,
        min_foreground: float = 0.01,
        batch_size: int = 16,
        volume_score: VolumeScore | None = None,
        return_reconstruction: bool = False,
        rivals: Mapping[str, Callable[[Tensor, Tensor | None], AnomalyResult]] | None = None,
    ) -> None:
        super().__init__()
        self.scorer = scorer
        self.resize = ResizedCropRotateFlip(image_size)
        self.image_size = image_size
        self.axis = axis
        self.choice = SliceChoice(axis=axis, index_range=index_range, share=share, min_foreground=min_foreground)
        self.batch_size = batch_size
        self.volume_score = VolumeScore() if volume_score is None else volume_score
        self.return_reconstruction = return_reconstruction
        self.rivals = dict(rivals or {})

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, without: int | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Score a batch of images or of volumes.

        Args:
            inputs: images (B, 1 or 3, H, W) of the network's size, or volumes (B, 1, X, Y, Z); normalised.
            without: fold of the normals that maps are not standardised by, as in `AnomalyScorer`.
            network: image (B, C, H, W) to reconstruction (B, 3, H, W), or `Decoded`; without a scorer to
                reconstruction, anomaly map (B, 1, H, W) and score (B,), and of slices it also takes `position` (B,).

        Returns:
            `anomaly_map` of the input's spatial shape with one channel, `slice_scores` (B, number of slices; 1 for an
            image), `score` (B,), `empty` and `outside` (B,), the numbers of slices skipped for either reason, `visible`
            (B,), how many have foreground, in range or not; on request `reconstruction`; for each rival `<name>_map`,
            `<name>_slice_scores` and `<name>_score`.

        Raises:
            ValueError: if no slice of a volume can be scored, or a score is NaN or infinite.
        """
        # metadata would be carried through every operation of the network
        images = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        if images.dim() == 5:
            results = [self.volume(GreySlices(volume, self.axis), network, without=without) for volume in inputs]
        else:
            parts = images.split(self.batch_size)
            results = [self._with_counts(self._images(part, network, None, without)) for part in parts]
        output = {key: torch.cat([result[key] for result in results]) for key in results[0]}
        _check_finite(output["score"], inputs)
        return output

    @torch.no_grad()
    def _images(
        self, images: Tensor, network: Callable[..., Any], position: Tensor | None, without: int | None
    ) -> dict[str, Tensor]:
        if self.scorer is not None:
            self.scorer.to(images.device)
        reconstruction, found = self._detect(images, network, position, without)
        output = _named("", found)
        for name, rival in self.rivals.items():
            output |= _named(f"{name}_", rival(images, position))
        return output | ({"reconstruction": reconstruction[:, :1]} if self.return_reconstruction else {})

    def _detect(
        self, images: Tensor, network: Callable[..., Any], position: Tensor | None, without: int | None
    ) -> tuple[Tensor, AnomalyResult]:
        if self.scorer is None:
            places = {} if position is None else {"position": position}
            reconstruction, anomaly_map, score = network(images, **places)
            return reconstruction, AnomalyResult(anomaly_map, score)
        reconstruction = network(images)
        found = self.scorer(images, reconstruction, position, without=without)
        return reconstruction if isinstance(reconstruction, Tensor) else reconstruction.image, found

    @staticmethod
    def _with_counts(output: dict[str, Tensor]) -> dict[str, Tensor]:
        none = torch.zeros(len(output["score"]), dtype=torch.int64)  # (B,): a single image is always looked at
        return output | {"empty": none, "outside": none, "visible": none + 1}

    @torch.no_grad()
    def volume(
        self,
        slices: GreySlices,
        network: Callable[..., Any],
        device: torch.device | None = None,
        *,
        without: int | None = None,
    ) -> dict[str, Tensor]:
        """Score one volume, a part of its slices after the other: the same dictionary as for a batch of one.

        Args:
            slices: of the volume, normalised.
            network: as in `__call__`.
            device: that it runs on, where maps come to lie; the volume's own where None.
            without: as in `__call__`.

        Raises:
            ValueError: if no slice can be scored, or the score is NaN or infinite.
        """
        device = slices.stored.device if device is None else device
        chosen, places, counts = self._chosen(slices)
        output = {name: torch.tensor([count]) for name, count in counts.items()}
        maps: dict[str, Tensor] = {}
        numbers: dict[str, list[Tensor]] = {}
        for part in chosen.split(self.batch_size):
            images = self.resize(slices[part].to(device))[:, None]  # (n, 1, S, S) of n slices
            position = places[part].to(device)  # (n,)
            for key, found in self._images(images, network, position, without).items():
                if key.endswith("score"):
                    numbers.setdefault(key, []).append(found)
                elif not key.endswith("slice_scores"):  # (n, 1, S, S)
                    if key not in maps:  # (slices, h, w), 0 where nothing is looked at
                        maps[key] = torch.zeros_like(slices.stored, dtype=torch.float32, device=device)
                    maps[key][part.to(device)] = self._on_grid(found, slices.stored.shape[1:])
        for key, parts in numbers.items():
            found = torch.cat(parts)  # (n,), in the order of the chosen slices
            scores = found.new_full((len(slices),), torch.nan)  # (slices,), NaN where nothing was looked at
            scores[chosen.to(device)] = found
            output[f"{key.removesuffix('score')}slice_scores"] = scores[None]  # (1, slices)
            output[key] = self.volume_score(found).reshape(1)
        _check_finite(output["score"], slices.volume)
        return output | {key: stack.movedim(0, self.axis)[None, None] for key, stack in maps.items()}

    @staticmethod
    def _on_grid(found: Tensor, size: Sequence[int]) -> Tensor:
        """Maps (N, 1, S, S) -> (N, h, w) of a volume's own slices; antialias, for these may be smaller."""
        return F.interpolate(found, size=size, mode="bilinear", align_corners=False, antialias=True)[:, 0]

    def _chosen(self, slices: GreySlices) -> tuple[Tensor, Tensor, dict[str, int]]:
        """Numbers of the slices to look at, places of all, and how many are empty, out of range, with foreground."""
        visible, inside = self.choice(slices)  # (slices,) booleans
        if not (visible & inside).any():
            wanted = self.choice.index_range or self.choice.share
            raise ValueError(
                f"{source_name(slices.volume)}: no slice to score: expected at least one of {len(visible)} slices "
                f"along axis {self.axis} in range "
                f"{wanted} with {self.choice.min_foreground:.1%} foreground, got none"
            )
        chosen = (visible & inside).nonzero()[:, 0].cpu()  # (n,) slice numbers
        empty, outside = int((inside & ~visible).sum()), int((~inside).sum())
        return chosen, places_along(visible).cpu(), {"empty": empty, "outside": outside, "visible": int(visible.sum())}


def _check_finite(scores: Tensor, images: Tensor | Sequence[Tensor]) -> None:
    if torch.isfinite(scores).all():  # of all at once: the host waits for the device once
        return
    for score, image in zip(scores, images, strict=True):  # an image of a batch knows its own file
        if not torch.isfinite(score).all():
            raise ValueError(f"{source_name(image)}: expected finite scores, got {score.tolist()}")


def _named(prefix: str, found: AnomalyResult) -> dict[str, Tensor]:
    """The rivals' keys are `<name>_map` ..., the method's own map is called `anomaly_map`."""
    return {
        f"{prefix or 'anomaly_'}map": found.anomaly_map,
        f"{prefix}slice_scores": found.score[:, None],
        f"{prefix}score": found.score,
    }
