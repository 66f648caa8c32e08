"""Where along the stack no training slice is normal, because all that lie there have a lesion."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from qfae_monai.data.volume_slices import VolumeSlices
from qfae_monai.training.processes import is_writer

logger = logging.getLogger(__name__)

APART = 0.1  # of the stack: slices that far from one another show other anatomy


class PlaceCheck:
    """Warn of places along the stack of which a training sees nothing normal; attach in front of what writes the model.

    Args:
        dataset: of the training, as `qfae_monai.data.SliceDataset`; one of single images has no places.

    Attributes:
        warnings: one sentence where there are such places.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.warnings: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.STARTED, lambda _: self())

    def __call__(self) -> None:
        """Look, and say what was found."""
        listed = getattr(self.dataset, "data", None)  # any dataset of torch trains, too
        found = unseen_places(getattr(listed, "volumes", ()))
        self.warnings = [found] if found else []
        if found and is_writer():
            logger.warning(found)


def unseen_places(volumes: Iterable[VolumeSlices]) -> str:
    """A sentence on places along the stack where every slice has a lesion; empty where there are none.

    What is normal there is not in the training, so that a healthy slice looks unusual, too.

    Args:
        volumes: with the slices that are left, and the places of those that were left out for a lesion.
    """
    kept, ill = [torch.zeros(0)], [torch.zeros(0)]  # (N,) and (K,) of each volume
    for volume in volumes:
        kept.append(volume.position)
        ill.extend([] if volume.lesion_position is None else [volume.lesion_position])
    normal, places = torch.cat(kept).sort().values, torch.cat(ill).sort().values
    far = places[_distance(places, normal) > APART]
    if not len(far):
        return ""
    return (
        f"{len(far)} of {len(places)} training slices with a lesion lie farther than {APART:g} of the stack from any "
        f"slice without one, {_ranges(far)} of the way: what is normal there is not learned, and a healthy slice there "
        "will look abnormal; add scans that are normal there"
    )


def _distance(places: Tensor, normal: Tensor) -> Tensor:
    """Of each of the places (K,) from the nearest of the normal ones (N,), both sorted."""
    behind = torch.searchsorted(normal, places)  # the first normal one that is not before it
    padded = torch.cat([normal.new_tensor([-torch.inf]), normal, normal.new_tensor([torch.inf])])
    return torch.minimum(places - padded[behind], padded[behind + 1] - places)


def _ranges(places: Tensor) -> str:
    """Sorted places as ranges, parted where normal ones may lie between two.

    >>> _ranges(torch.tensor([0.0, 0.05, 0.9, 1.0]))
    'from 0.00 to 0.05 and from 0.90 to 1.00'
    """
    parts = torch.tensor_split(places, (places.diff() > 2 * APART).nonzero()[:, 0] + 1)
    return " and ".join(f"from {part[0]:.2f} to {part[-1]:.2f}" for part in parts)
