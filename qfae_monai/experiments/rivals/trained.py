"""What every rival is: a network that learns from normal images and gives a map and a score, as a whole graph does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qfae_monai.networks.grey import MEAN, STD, luminance


@dataclass(frozen=True)
class Course:
    """How a rival is trained.

    Attributes:
        epochs: times that every image is seen, by those that are trained in epochs.
        batch_size: images in a step.
        seed: of every draw.
        device: that it is trained on.
    """

    epochs: int
    batch_size: int = 16
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class RivalFailedError(RuntimeError):
    """A rival's library could not train it, or its file does not hold what it learned; the others go on."""


class Detection(NamedTuple):
    """What a rival says of a batch.

    anomaly_map: (B, 1, h, w), higher is more abnormal; None of a rival that has a score alone.
    score: (B,).
    picture: (B, 1, h, w) in [0, 1], what it made of the image; None where it makes none.
    """

    anomaly_map: Tensor | None
    score: Tensor
    picture: Tensor | None = None


class TrainedRival(nn.Module, ABC):
    """A method in the place of the model: `AnomalyInferer` takes it, without a scorer, for images and for volumes.

    Rivals see grey values in [0, 1] as 32-bit floats, not files: no depth is lost on the way.
    """

    @abstractmethod
    def fit(self, images: Tensor, course: Course) -> None:
        """Learn from normal images (N, 1, S, S) in [0, 1]."""

    @abstractmethod
    def detect(self, grey: Tensor) -> Detection:
        """What it says of images (B, 1, S, S) in [0, 1]."""

    @torch.no_grad()
    def forward(self, image: Tensor, position: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Picture, map and score of a batch.

        Args:
            image: (B, 1 or 3, S, S), normalised as the method's are.
            position: (B,) of slices along their stack, which no rival looks at.

        Returns:
            Picture (B, 1, S, S), normalised: the image itself where the rival makes none; map (B, 1, S, S), the score
            at every pixel where it has none; score (B,).
        """
        found = self.detect((luminance(image) * STD + MEAN).clamp(0, 1))
        score = found.score.reshape(-1).float()  # (B,)
        if found.anomaly_map is None:
            anomaly_map = score[:, None, None, None].expand_as(image[:, :1]).clone()
        else:
            anomaly_map = resized(found.anomaly_map.float(), image.shape[-1])
        picture = luminance(image) if found.picture is None else (found.picture - MEAN) / STD
        return picture, anomaly_map, score


def resized(maps: Tensor, side: int) -> Tensor:
    """Maps (B, 1, h, w) or (B, h, w) at (B, 1, side, side), bilinearly where their size is another."""
    maps = maps if maps.dim() == 4 else maps[:, None]
    if maps.shape[-2:] == (side, side):
        return maps
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)
