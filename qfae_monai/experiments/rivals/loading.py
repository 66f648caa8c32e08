"""A rival by its name: built untrained, saved, and built again from its file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from qfae_monai.anomaly.pooling import PixelPooling, PixelReduction
from qfae_monai.experiments.rivals.anomalib_bridge import AnomalibRival
from qfae_monai.experiments.rivals.catalogue import OWN, find_method
from qfae_monai.experiments.rivals.small import small_rival
from qfae_monai.experiments.rivals.trained import RivalFailedError, TrainedRival
from qfae_monai.weights.checkpoints import read_checkpoint

TOLERANCE = 1e-4  # of scores, as a share


def create_rival(
    name: str,
    *,
    image_size: int,
    how: PixelReduction = "max",
    share: float = 0.05,
    body_above: float | None = None,
    batch_size: int = 16,
    folders: Sequence[Path] = (),
    filled: bool = False,
) -> TrainedRival:
    """Build a rival that has learned nothing yet.

    Args:
        name: of the catalogue.
        image_size: side of the images, pixels.
        how, share, body_above: how a small rival's map becomes a score, as in `PixelPooling`, of greys in [0, 1]; those
            of anomalib have scores of their own.
        batch_size, folders, filled: as in `AnomalibRival`.

    Raises:
        ValueError: for an unknown name, or one that the installed library has no model of.
        ImportError, WeightsNotFoundError: as `AnomalibRival`.

    Example:
        >>> from qfae_monai.experiments.rivals.trained import Course
        >>> rival = create_rival("mean-image", image_size=8)
        >>> rival.fit(torch.full((2, 1, 8, 8), 0.449), Course(epochs=1))
        >>> picture, anomaly_map, score = rival(torch.ones(1, 1, 8, 8))
        >>> round(score.item(), 3)
        0.226
    """
    method = find_method(name)
    if method.library == OWN:
        return small_rival(name, image_size, PixelPooling(how, share=share, above=body_above))
    return AnomalibRival(method, image_size, batch_size=batch_size, folders=folders, filled=filled)


def load_rival(
    name: str,
    *,
    image_size: int,
    weights: str | os.PathLike,
    how: PixelReduction = "max",
    share: float = 0.05,
    body_above: float | None = None,
    frozen: str | os.PathLike | None = None,
) -> TrainedRival:
    """Build a rival and fill it from the file that its training left.

    Args:
        name, image_size, how, share, body_above: as in `create_rival`.
        weights: file.
        frozen: folder of the weights that it is built on, for those whose library insists on them.

    Raises:
        FileNotFoundError, ValueError: if the file is not there, or is not of this rival.
    """
    folders = [] if frozen is None else [Path(frozen)]
    rival = create_rival(
        name, image_size=image_size, how=how, share=share, body_above=body_above, folders=folders, filled=True
    )
    try:
        rival.load_state_dict(read_checkpoint(weights))
    except RuntimeError as error:  # torch's, with all names and shapes
        raise ValueError(f"{weights}: expected the values of the rival {name}, got those of another network") from error
    return rival.eval()


@torch.no_grad()
def check_equal(trained: TrainedRival, loaded: TrainedRival, image: Tensor) -> None:
    """Refuse a rival whose file does not hold all that it learned.

    Args:
        trained, loaded: of one rival.
        image: (B, 1, S, S), normalised, that both score.

    Raises:
        RivalFailedError: if their scores differ.
    """
    one, other = (rival.eval()(image)[2] for rival in (trained, loaded))
    if not torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE):
        raise RivalFailedError(
            f"expected the same scores from a rival and from its file, got {one.tolist()} and {other.tolist()}"
        )
