"""Judgement of a pretrained network before it is written: does it rank painted lesions better than random weights do?

Losses and spreads do not tell: on few scans every network trained here ranked disease worse than its untrained twin,
and none had collapsed. So frozen nearest neighbours, in its tokens and in the twin's, rank synthetic lesions.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.networks import eval_mode
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from qfae_monai.anomaly.normals import NearestTokens
from qfae_monai.anomaly.painted_images import PaintedImages, paint_lesions
from qfae_monai.anomaly.pooling import PixelPooling
from qfae_monai.anomaly.rivals import FORWARD_BATCH, NormalImages
from qfae_monai.anomaly.score_choice import painted_auroc
from qfae_monai.networks.encoders import as_three_channels, hidden_states
from qfae_monai.networks.grey import normalized
from qfae_monai.networks.token_decoder import Decoded
from qfae_monai.pretraining.card import architecture
from qfae_monai.pretraining.trunk import judged_blocks
from qfae_monai.training.processes import gather, is_writer
from qfae_monai.weights import create_vit

logger = logging.getLogger(__name__)

FEWEST = 10  # held-out images to judge by
JUDGED_TOKENS = 12_000  # of training images, that others are compared with


class NothingLearnedError(ValueError):
    """A trained network tells painted lesions from normal images no better than random weights do."""


class PaintedJudgement:
    """Compare the trained network with its untrained twin when a run is complete; attach in front of what writes it.

    The twin is a network of the same architecture with seeded random weights and sine-cosine positions. Both are used
    in one way: the distance of each patch token, normalised over channels, from the nearest one of training images,
    anywhere and at the same place, in the same blocks; its mean over the body ranks held-out images with a painted
    lesion against those without. AUROC is the mean over kinds and sizes of lesions.

    Args:
        trunk: the trained network.
        name: timm name of its architecture.
        reference: training images, of which at most `JUDGED_TOKENS` tokens are compared with.
        held_out: normal images that were not trained on.
        level: grey in [0, 1] above which a pixel is body.
        least_gain: AUROC by which the network must be above its twin; None judges and never stops the run.
        seed: of the lesions, of the twin, and of the draw of training images.

    Attributes:
        figures: what was measured, for the card; a `summary` alone, with the reason, where nothing could be.

    Raises:
        ValueError: if `least_gain` is no number.
        NothingLearnedError: from the trainer's run, with both figures and what to do.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        name: str,
        reference: NormalImages,
        held_out: NormalImages,
        *,
        level: float,
        least_gain: float | None = 0.0,
        seed: int = 0,
    ) -> None:
        if isinstance(least_gain, bool) or not isinstance(least_gain, int | float | None):  # known before the training
            raise ValueError(f"least_gain: expected a number or null, got {least_gain!r}")
        self.trunk, self.name, self.reference, self.held_out = trunk, name, reference, held_out
        self.level, self.least_gain, self.seed = level, least_gain, seed
        self.figures: dict[str, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.COMPLETED, lambda _: self())

    def __call__(self) -> None:
        """Judge, in one process; all of them stop if one has to."""
        refusal = self._judge() if is_writer() else None
        refused = [reason for reason in gather(refusal) if reason is not None]
        if refused:
            raise NothingLearnedError(refused[0])

    def _judge(self) -> str | None:
        """Why no weights are to be written; None where they are."""
        count = len(self.held_out.images)
        painted = paint_lesions(self.held_out.images, level=self.level, seed=self.seed)
        try:
            _check(count, painted)
        except ValueError as error:
            self.figures = {"summary": f"not compared with its untrained twin: {error}"}
            logger.warning("The network was %s; its weights are written", self.figures["summary"])
            return None
        twin = create_vit(**architecture(self.name, self.trunk), seed=self.seed, positions="sincos")
        trained, by_kind = self._auroc(self.trunk, painted)
        untrained, _ = self._auroc(twin.to(next(self.trunk.parameters()).device), painted)
        lesions = len(painted.rows)
        self.figures = {
            "summary": f"judged by {lesions} painted lesions: {_shown(trained)}, untrained twin {_shown(untrained)}",
            "lesions": lesions,
            "held_out_images": count,
            "auroc": trained,
            "untrained_twin": untrained,
            "by_kind": by_kind,
            "least_gain": self.least_gain,
        }
        return self._refusal(trained, untrained)

    def _refusal(self, trained: float | None, untrained: float | None) -> str | None:
        found = self.figures["summary"]
        if trained is not None and untrained is not None and trained - untrained > (self.least_gain or 0.0):
            logger.info(found)
            return None
        if self.least_gain is None:
            logger.warning("%s: these weights are no better than random ones, and are kept (least_gain is null)", found)
            return None
        return (
            f"{found}. Expected an AUROC more than {self.least_gain:g} above the twin's: these weights would be no "
            "better than random ones. No weights are written. Train on more scans or for longer (mae_images, "
            "dino_images), take public weights (qfae weights fetch), or keep these with --set least_gain=null "
            "(on MONAI's command line: --least_gain '$None')"
        )

    @torch.no_grad()
    def _auroc(self, trunk: VisionTransformer, painted: PaintedImages) -> tuple[float | None, dict[str, float]]:
        """AUROC, mean and by kind; None of a network whose tokens are not finite."""
        with eval_mode(trunk):
            known = NearestTokens(self._bank(trunk)).to(next(trunk.parameters()).device)
            well, ill = (self._distances(trunk, known, images) for images in (self.held_out.images, painted.images))
        usual = np.maximum(well.mean(axis=0), np.finfo(well.dtype).tiny)  # (2 * G,), so that each map counts alike
        well, ill = (well / usual).mean(axis=1), (ill / usual).mean(axis=1)
        if not (np.isfinite(well).all() and np.isfinite(ill).all()):
            return None, {}
        return painted_auroc(well, ill, painted.cells)

    def _bank(self, trunk: VisionTransformer) -> Tensor:
        """Tokens of training images, (G, M, N, D); of many images a share that is drawn."""
        images = self.reference.images
        most = max(1, JUDGED_TOKENS // trunk.patch_embed.num_patches)  # images
        drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(self.seed))[:most].sort().values
        return torch.cat([_tokens(trunk, part).cpu() for part in images[drawn].split(FORWARD_BATCH)]).transpose(0, 1)

    def _distances(self, trunk: VisionTransformer, known: NearestTokens, images: Tensor) -> NDArray[np.float64]:
        """Mean over the body of each map: (B, 2 * G)."""
        pool = PixelPooling("mean", above=normalized(self.level))
        found = []
        for part in images.split(FORWARD_BATCH):
            tokens = _tokens(trunk, part)  # (B, G, N, D)
            image = part.to(tokens.device)
            found.append(pool(known(Decoded(image, tokens, tokens, tokens)), image).cpu())
        return torch.cat(found).double().numpy()


def _check(count: int, painted: PaintedImages) -> None:
    """Refuse what no figure can be made of."""
    if count < FEWEST:
        raise ValueError(f"expected at least {FEWEST} held-out images, got {count}")
    if not painted.rows:
        raise ValueError(f"expected a body to paint lesions into, got none in {count} held-out images")
    painted_auroc(np.zeros(count), np.zeros(len(painted.rows)), painted.cells)


def _tokens(trunk: VisionTransformer, images: Tensor) -> Tensor:
    """Patch tokens, normalised over channels: (B, 1, H, W) -> (B, G, N, D), of G blocks."""
    on_device = images.to(next(trunk.parameters()).device)
    states = hidden_states(trunk, as_three_channels(on_device), judged_blocks(len(trunk.blocks)))
    tokens = torch.stack([state[:, trunk.num_prefix_tokens :] for state in states], dim=1).float()
    return F.layer_norm(tokens, tokens.shape[-1:])


def _shown(auroc: float | None) -> str:
    return "not finite" if auroc is None else f"{auroc:.3f}"
