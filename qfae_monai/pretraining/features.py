"""Figures on a training network's features of normal images: their spread, and the distance of held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ignite.engine import Engine, Events
from monai.networks import eval_mode
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from qfae_monai.anomaly.rivals import FORWARD_BATCH, NearestNeighbours, NormalImages, patch_features


def spread(features: Tensor) -> tuple[float, float]:
    """Standard deviation over images at each place, and over places in each image, mean over all else.

    Args:
        features: (M, P, D) of M images, normalised over channels: both figures lie between 0 and 1.

    >>> spread(torch.tensor([[[1.0, -1.0], [1.0, -1.0]], [[-1.0, 1.0], [-1.0, 1.0]]]))
    (1.0, 0.0)
    """
    return float(features.std(dim=0, correction=0).mean()), float(features.std(dim=1, correction=0).mean())


class FeatureFigures:
    """Add three figures to an evaluator's metrics, for logs, curves and `CollapseCheck`.

    `neighbour_score`: mean over held-out images of the largest distance of a patch to its nearest normal patch at the
    same place. `spread_over_images` and `spread_over_patches`: see `spread`; near 0 all images, or all places, look
    alike to the network.

    Args:
        trunk: the network in training.
        reference: training images.
        held_out: other normal images.
        blocks: whose states are used; negative numbers count from the end.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        reference: NormalImages,
        held_out: NormalImages,
        *,
        blocks: Sequence[int] = (-1,),
    ) -> None:
        self.trunk, self.reference, self.held_out, self.blocks = trunk, reference, held_out, tuple(blocks)

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator, before whatever reads its metrics."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        device = next(self.trunk.parameters()).device
        batches = self.held_out.images.to(device).split(FORWARD_BATCH)
        with torch.no_grad(), eval_mode(self.trunk):
            blocks = [block % len(self.trunk.blocks) for block in self.blocks]
            over_images, over_patches = spread(torch.cat([patch_features(self.trunk, one, blocks) for one in batches]))
            neighbours = NearestNeighbours(self.trunk, self.reference, blocks=blocks)
            score = torch.cat([neighbours(batch).score for batch in batches]).mean().item()
        engine.state.metrics.update(
            neighbour_score=score, spread_over_images=over_images, spread_over_patches=over_patches
        )
