"""Scoring of a batch whose cases may differ: with and without a mask, on grids of their own, with keys of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import list_data_collate
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from qfae_monai.anomaly.normals import fold_of
from qfae_monai.data.columns import set_apart

Case = Mapping[str, Any]
VOLUME_DIMS = 4  # (1, X, Y, Z); an image has 3, (C, H, W)


def score_held_out(engine: Any, cases: Sequence[Case]) -> Any:
    """As `score_cases`, of held-out normals that the score was standardised by: each by those of other patients."""
    return score_cases(engine, cases, without=[fold_of(str(case.get("patient", case.get("case")))) for case in cases])


def score_cases(engine: Any, cases: Sequence[Case], *, without: Sequence[int] | None = None) -> Any:
    """`iteration_update` of an evaluator whose batches are lists of cases.

    MONAI's own stacks the keys of a batch's first case: it drops a mask that the first lacks, and fails on one that
    another lacks or on two grids. Here each case keeps its own keys; images of one size are scored together.

    Args:
        engine: a `SupervisedEvaluator`; its inferer takes (B, C, H, W) or (1, 1, X, Y, Z).
        cases: dictionaries of `image`, (C, H, W) or (1, X, Y, Z), and what is known of it.
        without: fold of the normals that the maps of each are not standardised by.

    Returns:
        A dictionary for each case: `image`, `label` (None without a mask), `pred`, and what postprocessing adds.

    Raises:
        ValueError: as the inferer does, naming the image's file.
    """
    images = [case[CommonKeys.IMAGE].to(engine.state.device, non_blocking=engine.non_blocking) for case in cases]
    found: dict[int, dict[str, torch.Tensor]] = {}
    with engine.mode(engine.network):
        for places in _together(images, without):
            left_out = {} if without is None else {"without": without[places[0]]}
            batch = list_data_collate([images[place] for place in places])
            results = engine.inferer(batch, engine.network, **left_out)
            for row, place in enumerate(places):
                found[place] = {key: values[row] for key, values in results.items()}
    engine.state.batch = [set_apart(case) for case in cases]  # what is added below and behind overwrites no column
    engine.state.output = [
        {CommonKeys.IMAGE: image, CommonKeys.LABEL: case.get(CommonKeys.LABEL), CommonKeys.PRED: found[place]}
        for place, (case, image) in enumerate(zip(cases, images, strict=True))
    ]
    engine.fire_event(IterationEvents.FORWARD_COMPLETED)
    engine.fire_event(IterationEvents.MODEL_COMPLETED)
    return engine.state.output


def _together(images: Sequence[torch.Tensor], without: Sequence[int] | None) -> list[list[int]]:
    """Places of the images that go through the network at once: of one size and fold; a volume goes alone."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        fold = None if without is None else without[place]
        groups[place if image.dim() == VOLUME_DIMS else (*image.shape, fold)].append(place)
    return list(groups.values())
