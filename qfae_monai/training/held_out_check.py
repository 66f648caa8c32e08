"""Least check of a trained model on held-out normals: it beats the mean training image, and its maps vary."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from qfae_monai.anomaly import NormalImages
from qfae_monai.networks import QFAE
from qfae_monai.networks.encoders import as_three_channels

logger = logging.getLogger(__name__)

FORWARD_BATCH = 16  # images
FLAT = 1e-3
"""Spread of a map, over its mean, below which it is called constant."""


@dataclass(frozen=True)
class HeldOutFigures:
    """Figures of a training on held-out normal images.

    Attributes:
        images: how many were looked at.
        distance: mean training distance of their reconstructions.
        mean_image_distance: the same of the mean training image in place of each reconstruction.
        map_spread: standard deviation over the pixels of a map, over its mean; the mean of all images.
        map_spread_over_images: standard deviation of a pixel over images, over its mean; the mean of all pixels. None
            of fewer than two images.
    """

    images: int
    distance: float
    mean_image_distance: float
    map_spread: float
    map_spread_over_images: float | None


class HeldOutCheck:
    """Look at held-out normals when a training is complete, and warn of a model that has learned nothing.

    Args:
        network: image (B, 1, H, W) -> reconstruction.
        loss: the distance that was trained with, a scalar.
        distance: the distance that maps are made of, (B, L, H, W).
        reference: training images, whose mean the reconstruction is held against.
        held_out: normal images that were not trained on.
        device: where the network is.

    Attributes:
        figures: of the last check, None before.
        warnings: sentences about them.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        distance: nn.Module,
        *,
        reference: NormalImages,
        held_out: NormalImages,
        device: torch.device,
    ) -> None:
        self.network, self.loss, self.distance = network, loss, distance
        self.reference, self.held_out, self.device = reference, held_out, torch.device(device)
        self.figures: HeldOutFigures | None = None
        self.warnings: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.COMPLETED, lambda _: self())

    def __call__(self) -> None:
        """Compute the figures, and say what is wrong with them."""
        training = self.network.training
        self.network.eval()
        try:
            self.figures = self._measure()
        finally:
            self.network.train(training)
        self.warnings = held_out_warnings(self.figures)
        for sentence in self.warnings:
            logger.warning(sentence)

    @torch.no_grad()
    def _measure(self) -> HeldOutFigures:
        mean = self.reference.images.mean(dim=0, keepdim=True).to(self.device)  # (1, 1, H, W)
        distance = self.distance.to(self.device)
        images = self.held_out.images  # (M, 1, H, W)
        sums, spread, maps = torch.zeros(2, dtype=torch.float64), 0.0, []
        for part in images.split(FORWARD_BATCH):
            image = part.to(self.device)
            reconstruction = self.network(image)  # (B, 3, H, W)
            stand_in = self._stand_in(mean, image)
            # a loss is a mean over a batch, and the last batch may be smaller
            sums += len(part) * torch.tensor([float(self.loss(found, image)) for found in (reconstruction, stand_in)])
            part_maps = distance(reconstruction, image).mean(dim=1).flatten(1).cpu()  # (B, H * W)
            spread += float(_spread(part_maps, dim=1).sum())
            maps.append(part_maps)
        # over M at each of H * W pixels
        over_images = float(_spread(torch.cat(maps), dim=0).mean()) if len(images) > 1 else None
        count = len(images)
        return HeldOutFigures(count, float(sums[0] / count), float(sums[1] / count), spread / count, over_images)

    def _stand_in(self, mean: Tensor, image: Tensor) -> Any:
        """The mean image (1, 1, H, W) in the place of the reconstruction of each image (B, 1, H, W)."""
        network = getattr(self.network, "module", self.network)  # within DistributedDataParallel
        if isinstance(network, QFAE):
            return network.stand_in(mean, image)
        return as_three_channels(mean).expand_as(as_three_channels(image))

    def record(self) -> dict[str, float | int | None] | None:
        """The figures as plain numbers, None before the check."""
        return None if self.figures is None else asdict(self.figures)


def held_out_warnings(figures: HeldOutFigures) -> list[str]:
    """Sentences about what held-out normals show, none of a model that has learned something."""
    found = []
    if not figures.distance < figures.mean_image_distance:  # also of NaN
        found.append(
            f"On {figures.images} held-out normal images the reconstructions are no better than the mean training "
            f"image: expected a distance below its {figures.mean_image_distance:.3g}, got {figures.distance:.3g}"
        )
    if not figures.map_spread > FLAT:
        found.append(
            f"Anomaly maps of held-out normal images are constant: expected a spread over pixels above {FLAT:g} of "
            f"their mean, got {figures.map_spread:.3g}"
        )
    elif figures.map_spread_over_images is not None and not figures.map_spread_over_images > FLAT:
        found.append(
            f"Anomaly maps of held-out normal images are all the same: expected a spread over images above {FLAT:g} "
            f"of their mean, got {figures.map_spread_over_images:.3g}"
        )
    return found


def _spread(maps: Tensor, dim: int) -> Tensor:
    """Standard deviation over the mean along `dim`; 0 where the mean is."""
    mean = maps.mean(dim=dim)
    relative = maps.std(dim=dim, correction=0) / mean.clamp_min(torch.finfo(maps.dtype).tiny)
    return torch.where(mean > 0, relative, 0 * mean)  # NaN stays NaN
