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
from qfae_monai.transforms import ResizedCropRotateFlip
from qfae_monai.transforms.slice_choice import SliceChoice


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
        rivals: Mapping[str, Callable[[Tensor], AnomalyResult]] | None = None,
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

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Score a batch of images or of volumes.

        Args:
            inputs: images (B, 1 or 3, H, W) of the network's size, or volumes (B, 1, X, Y, Z); normalised.
            network: image (B, C, H, W) to reconstruction (B, 3, H, W); without a scorer to reconstruction, anomaly map
                (B, 1, H, W) and score (B,).

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
        source = inputs.meta.get("filename_or_obj", "") if isinstance(inputs, MetaTensor) else ""
        if self.scorer is not None:
            self.scorer.to(images.device)
        with torch.no_grad():
            if images.dim() == 5:
                results = [self._volume(volume, network) for volume in images]
            else:
                parts = images.split(self.batch_size)
                results = [self._with_counts(self._images(part, network)) for part in parts]
        output = {key: torch.cat([result[key] for result in results]) for key in results[0]}
        if not torch.isfinite(output["score"]).all():
            raise ValueError(f"{source or 'image'}: expected finite scores, got {output['score'].tolist()}")
        return output

    def _images(self, images: Tensor, network: Callable[..., Any]) -> dict[str, Tensor]:
        reconstruction, found = self._detect(images, network)
        output = _named("", found)
        for name, rival in self.rivals.items():
            output |= _named(f"{name}_", rival(images))
        return output | ({"reconstruction": reconstruction[:, :1]} if self.return_reconstruction else {})

    def _detect(self, images: Tensor, network: Callable[..., Any]) -> tuple[Tensor, AnomalyResult]:
        if self.scorer is None:
            reconstruction, anomaly_map, score = network(images)
            return reconstruction, AnomalyResult(anomaly_map, score)
        reconstruction = network(images)
        return reconstruction, self.scorer(images, reconstruction)

    @staticmethod
    def _with_counts(output: dict[str, Tensor]) -> dict[str, Tensor]:
        none = torch.zeros(len(output["score"]), dtype=torch.int64)  # (B,): a single image is always looked at
        return output | {"empty": none, "outside": none, "visible": none + 1}

    def _volume(self, volume: Tensor, network: Callable[..., Any]) -> dict[str, Tensor]:
        """volume: (1, X, Y, Z) -> the same dictionary for a batch of one."""
        slices = volume[0].movedim(self.axis, 0)  # (slices, h, w), a view
        chosen, empty, outside, visible = self._chosen(volume)
        wanted = self.resize(slices[chosen])[:, None].to(slices.dtype)  # (n, 1, S, S) of the n chosen slices
        parts = [self._images(part, network) for part in wanted.split(self.batch_size)]
        counts = {"empty": empty, "outside": outside, "visible": visible}
        output = {name: torch.tensor([count]) for name, count in counts.items()}
        for key in parts[0]:
            found = torch.cat([part[key] for part in parts])  # (n, ...), in the order of the chosen slices
            if key.endswith("slice_scores"):
                scores = slices.new_full((len(slices),), torch.nan)  # (slices,), NaN where nothing was looked at
                scores[chosen] = found[:, 0].to(scores.dtype)
                output[key] = scores[None]  # (1, slices)
            elif key.endswith("score"):
                output[key] = self.volume_score(found).reshape(1)
            else:
                output[key] = self._stacked(found, slices, chosen)
        return output

    def _stacked(self, found: Tensor, slices: Tensor, chosen: Tensor) -> Tensor:
        """Maps (N, 1, h, w) of the chosen slices -> (1, 1, X, Y, Z) on the volume's grid, 0 elsewhere."""
        stack = torch.zeros_like(slices)  # (slices, h, w)
        size = slices.shape[1:]  # pixels of the volume's own slices
        # (n, 1, h, w); antialias, as slices may be smaller than the network's images
        resized = F.interpolate(found, size=size, mode="bilinear", align_corners=False, antialias=True)
        stack[chosen] = resized[:, 0].to(stack.dtype)
        return stack.movedim(0, self.axis)[None, None]

    def _chosen(self, volume: Tensor) -> tuple[Tensor, int, int, int]:
        """Numbers of the slices to look at, and how many are empty, out of range, and with foreground."""
        visible, inside = self.choice(volume)  # (slices,) booleans
        if not (visible & inside).any():
            wanted = self.choice.index_range or self.choice.share
            raise ValueError(
                f"no slice to score: expected at least one of {len(visible)} slices along axis {self.axis} in range "
                f"{wanted} with {self.choice.min_foreground:.1%} foreground, got none"
            )
        chosen = (visible & inside).nonzero()[:, 0]  # (n,) slice numbers
        return chosen, int((inside & ~visible).sum()), int((~inside).sum()), int(visible.sum())


def _named(prefix: str, found: AnomalyResult) -> dict[str, Tensor]:
    """The rivals' keys are `<name>_map` ..., the method's own map is called `anomaly_map`."""
    return {
        f"{prefix or 'anomaly_'}map": found.anomaly_map,
        f"{prefix}slice_scores": found.score[:, None],
        f"{prefix}score": found.score,
    }
