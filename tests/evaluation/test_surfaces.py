"""Surface distances: MONAI's own functions give them one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

from qfae_monai.evaluation.surfaces import TOLERANCE, surfaces


def _balls(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng, places = np.random.default_rng(seed), np.indices((18, 20, 14))
    centre = rng.uniform(4, 12, (3, 1, 1, 1))
    one, other = (((places - centre - rng.normal(0, 2, (3, 1, 1, 1))) ** 2).sum(0) < 16 for _ in range(2))
    return one | (rng.random(one.shape) < 0.002), other


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spacing", [[1.0, 1.0, 1.0], [0.7, 0.9, 5.0]])
def test_distances_are_those_of_monai(seed: int, spacing: list[float]) -> None:
    called, lesion = _balls(seed)
    one, other = (torch.tensor(mask[None, None], dtype=torch.float32) for mask in (called, lesion))
    found = surfaces(called, lesion, spacing)
    given: Any = {"include_background": True, "spacing": spacing}
    expected = (
        compute_average_surface_distance(one, other, symmetric=True, **given),
        compute_hausdorff_distance(one, other, percentile=95, **given),
        compute_surface_dice(one, other, class_thresholds=[TOLERANCE], **given),
    )
    assert found == pytest.approx([float(value) for value in expected], rel=1e-5)


def test_a_mask_that_is_empty_has_no_distance() -> None:
    lesion, nothing = np.ones((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    missed = surfaces(nothing, lesion, [1.0, 1.0, 1.0])
    assert np.isnan(missed[:2]).all()
    assert missed.surface_dice == 0
    assert np.isnan(surfaces(lesion, nothing, [1.0, 1.0, 1.0])).all()
    assert np.isnan(surfaces(nothing, nothing, [1.0, 1.0, 1.0])).all()
    assert surfaces(lesion, lesion, [1.0, 1.0, 1.0]) == (0, 0, 1)
