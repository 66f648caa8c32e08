"""Fit of the score to held-out normal scans when a training is complete: statistics of their maps, and its choice."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from qfae_monai.anomaly import AnomalyScorer, NormalImages, Normals
from qfae_monai.anomaly.normals import MOST_TOKENS, NearestTokens, fold_of
from qfae_monai.anomaly.painted_images import paint_lesions
from qfae_monai.anomaly.score_choice import Scored, Way, choose_way
from qfae_monai.model.builders import create_scorer
from qfae_monai.model.folder import NORMALS
from qfae_monai.model.presets import score_layers
from qfae_monai.networks import QFAE
from qfae_monai.networks.grey import normalized
from qfae_monai.training.processes import is_writer

logger = logging.getLogger(__name__)

FORWARD_BATCH = 16  # images
FEWEST = 10  # held-out images to standardise by
FEWEST_PATIENTS = 5
"""Held-out patients to choose a score by.

With one patient held out, choices differed from split to split of the same scans, and were no better than the preset's
score (six brain scans: slice AUROC 0.856 against 0.853, and 0.809 against 0.834).
"""


class ScoreFit:
    """Learn from normal images what a score needs of them; attach in front of what writes the model.

    Args:
        network: that was trained.
        settings: all numbers of the model.
        distance: that maps are made of.
        folder: of the model.
        reference: training images, with whose tokens those of an image are compared.
        held_out: normal images that were not trained on.
        choose: whether the score is chosen by synthetic lesions, instead of taken from the settings.
        device: where the network is.
        seed: of the lesions.

    Attributes:
        chosen: settings that replace those of the model; empty where none do.
        synthetic: figures of the choice by synthetic lesions; None where there was none.
        warnings: sentences about what could not be done.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: Mapping[str, Any],
        distance: nn.Module,
        *,
        folder: str,
        reference: NormalImages,
        held_out: NormalImages,
        choose: bool,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        # one process fits: within DistributedDataParallel its forward pass would wait for the others
        self.network: nn.Module = getattr(network, "module", network)
        self.settings, self.distance = dict(settings), distance
        self.file = Path(folder) / NORMALS
        self.reference, self.held_out, self.choose = reference, held_out, choose
        self.device, self.seed = torch.device(device), seed
        self.chosen: dict[str, Any] = {}
        self.synthetic: dict[str, Any] | None = None
        self.warnings: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.COMPLETED, lambda _: self())

    def __call__(self) -> None:
        """Fit, and write the file of what was learned; nothing where the settings ask for nothing."""
        if not is_writer():
            return
        self.file.unlink(missing_ok=True)  # of an earlier network in this folder
        if not (self.choose or self.settings["score_standardised"] or self.settings["score_neighbours"]):
            return
        training = self.network.training
        self.network.eval()
        try:
            self._fit()
        finally:
            self.network.train(training)
        for sentence in self.warnings:
            logger.warning(sentence)

    def record(self) -> dict[str, Any] | None:
        """What was chosen, for the record of the training; None where the settings are the preset's."""
        return {"settings": self.chosen, "synthetic": self.synthetic} if self.chosen else None

    def _fit(self) -> None:
        scorer, neighbours = self._raw_scorer()
        normal = self._scored(scorer, self.held_out.images)
        if len(normal.image) < FEWEST:
            self.warnings.append(
                f"The score could not be fitted to normal scans: expected at least {FEWEST} held-out images, got "
                f"{len(normal.image)}; maps are not standardised, and the score is the preset's"
            )
            self.chosen = {"score_standardised": False}
        elif self.choose and len(set(normal.patient)) < FEWEST_PATIENTS:
            self.warnings.append(
                "The score could not be chosen by synthetic lesions: expected held-out scans of at least "
                f"{FEWEST_PATIENTS} patients, got those of {len(set(normal.patient))}; it is the preset's"
            )
        elif self.choose:
            self._choose(scorer, normal, Normals.of(normal.maps, normal.patient, normal.position))
        alone = len({fold_of(patient) for patient in normal.patient}) == 1  # nobody is left to standardise by
        if alone and {**self.settings, **self.chosen}["score_standardised"]:
            self.warnings.append(
                "Maps are standardised by the same held-out patients whose scans give the thresholds: expected some "
                f"of other folds, got {len(set(normal.patient))} in one; the thresholds are too low"
            )
        settings = {**self.settings, **self.chosen}
        layers = score_layers(settings)
        if settings["score_standardised"] or settings["score_neighbours"]:
            maps = normal.maps if layers is None else normal.maps[:, layers]
            neighbours = neighbours if settings["score_neighbours"] else None  # of maps that were left out
            standard = settings["score_standardised"]
            fitted = Normals.of(maps, normal.patient, normal.position) if standard else Normals({})
            Normals(fitted.maps, neighbours).save(self.file)

    def _raw_scorer(self) -> tuple[AnomalyScorer, NearestTokens | None]:
        """A scorer of all maps as they are, and the tokens that it compares with."""
        neighbours = NearestTokens.of(*self._tokens()) if self.settings["score_neighbours"] else None
        raw = {**self.settings, "score_standardised": False, "score_layers": None}
        return create_scorer(raw, self.distance, normals=Normals({}, neighbours)).to(self.device), neighbours

    @torch.no_grad()
    def _tokens(self) -> tuple[Tensor, Tensor | None]:
        """Tokens of training images, (G, M, N, D), and where they lie; of many images a share that is drawn."""
        network = self.network
        if not isinstance(network, QFAE) or self.settings["decodes"] != "tokens":
            raise ValueError("score_neighbours: expected a network that decodes tokens, got one that decodes pixels")
        images = self.reference.images
        most = max(1, MOST_TOKENS // network.num_patches)  # images
        drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(self.seed))[:most].sort().values
        parts = [network(part.to(self.device)).encoded.cpu() for part in images[drawn].split(FORWARD_BATCH)]
        places = self.reference.positions
        return torch.cat(parts).transpose(0, 1), None if places is None else places[drawn]

    @torch.no_grad()
    def _scored(self, scorer: AnomalyScorer, images: Tensor, rows: Sequence[int] | None = None) -> Scored:
        """Maps of images that were made of the held-out ones in `rows`, (N, 1, H, W)."""
        which = list(range(len(images))) if rows is None else list(rows)
        patients, places = self.held_out.patients, self.held_out.positions
        positions = None if places is None else places[which]
        maps = []
        for first in range(0, len(images), FORWARD_BATCH):
            some = slice(first, first + FORWARD_BATCH)
            part = images[some].to(self.device)
            where = None if positions is None else positions[some].to(self.device)
            maps.append(scorer.maps(part, self.network(part), where).cpu())
        return Scored(images, torch.cat(maps), [patients[row] for row in which], positions)

    def _choose(self, scorer: AnomalyScorer, normal: Scored, normals: Normals) -> None:
        images, rows, cells = paint_lesions(
            self.held_out.images, level=self.settings["foreground_level"], seed=self.seed
        )
        if not rows:
            self.warnings.append(
                "The score could not be chosen by synthetic lesions: expected a body to paint them into, got none in "
                f"{len(normal.image)} held-out images; the score is the preset's"
            )
            return
        painted = self._scored(scorer, images, rows)
        above = normalized(self.settings["foreground_level"])
        sets = layer_sets(normal.maps.shape[1], len(self.settings["target_blocks"]), self.settings["score_neighbours"])
        try:
            way, tried = choose_way(normal, painted, cells, normals, body_above=above, layer_sets=sets)
        except ValueError as error:
            self.warnings.append(f"The score could not be chosen by synthetic lesions: {error}; it is the preset's")
            return
        used = self.settings["score_neighbours"] and max(way.settings["score_layers"]) >= len(
            self.settings["target_blocks"]
        )
        self.chosen = {**way.settings, "score_neighbours": used}
        published = next(one for one in tried if _is_published(one))
        figures = {"lesions": len(rows), "auroc": way.auroc, "by_kind": way.by_kind}
        self.synthetic = {**figures, "as_published": published.auroc}
        logger.info("score chosen by %d synthetic lesions: %s, AUROC %.3f", len(rows), self.chosen, way.auroc)


def layer_sets(maps: int, groups: int, neighbours: bool) -> list[list[int]]:
    """Sets of maps to choose from: all; where tokens are compared with normal ones, those of one or two kinds, too.

    Not those of single groups of blocks: painted lesions preferred another one than patients did.

    Args:
        maps: number of them: those of the reconstruction, then those of neighbours anywhere, and at the same place.
        groups: of the encoder's blocks.
        neighbours: whether there are maps of neighbours.

    >>> layer_sets(6, 2, True)
    [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3], [0, 1, 4, 5], [0, 1], [2, 3], [2, 3, 4, 5], [4, 5]]
    """
    if not neighbours:
        return [list(range(maps))]
    decoded, anywhere, there = (list(range(first, first + groups)) for first in range(0, maps, groups))
    return [list(range(maps)), decoded + anywhere, decoded + there, decoded, anywhere, anywhere + there, there]


def _is_published(way: Way) -> bool:
    """Whether a way is the paper's: the largest pixel of all maps as they are."""
    settings = way.settings
    return not (settings["score_standardised"] or settings["score_body"]) and settings["score_over_pixels"] == "max"
