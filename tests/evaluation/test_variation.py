"""How much reconstructions vary: what a constant, a copy and half a copy give, over grids, processes and folds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from qfae_monai.evaluation.variation import FILE, Variation, merge_variations, ratio, read_variation


def case(images: Tensor, reconstructions: Tensor, labels: list[float], scores: list[float]) -> dict[str, Any]:
    """A volume of N slices along the last axis: images, reconstructions (N, H, W)."""
    return {
        "image": images.movedim(0, -1)[None],
        "reconstruction": reconstructions.movedim(0, -1)[None],
        "slice_labels": torch.tensor([labels]),
        "slice_scores": torch.tensor([scores]),
    }


TEST_CASES = [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]


@pytest.mark.parametrize(("share", "expected"), TEST_CASES)
def test_ratio_of_standard_deviations(share: float, expected: float, tmp_path: Path) -> None:
    images = torch.rand(6, 64, 64, generator=torch.Generator().manual_seed(0))
    images[4:] += 100  # an abnormal and a skipped slice, which do not count
    texture = torch.rand(64, 64, generator=torch.Generator().manual_seed(1))  # in every reconstruction
    labels, scores = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0], [1.0] * 5 + [math.nan]
    found = Variation()
    found.add(case(images, share * images + texture, [float(one) for one in labels], scores), axis=2)
    assert found.count == 4
    found.save(tmp_path)
    assert ratio(read_variation(tmp_path)) == pytest.approx(expected, abs=1e-5)
    written = read_variation(tmp_path)
    assert written is not None
    assert written["images"] == pytest.approx(images[:4].double().var(0, correction=0).mean().item(), rel=1e-5)


def test_parts_are_as_the_whole_and_grids_may_differ(tmp_path: Path) -> None:
    images = torch.rand(4, 64, 64, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(images[:, None], 128, mode="nearest")[:, 0]
    whole, parts = Variation(), [Variation(), Variation()]
    whole.add(case(images, images * 0.3, [0] * 4, [1.0] * 4), axis=2)
    for part, place in zip(parts, (slice(0, 1), slice(1, 4)), strict=True):
        few = images[place]
        part.add(case(few, few * 0.3, [0.0] * len(few), [1.0] * len(few)), axis=2)
    whole.save(tmp_path)
    expected = read_variation(tmp_path)
    Variation.merge(parts).save(tmp_path)
    assert read_variation(tmp_path) == pytest.approx(expected)
    other = Variation()
    other.add(case(large, large * 0.3, [0] * 4, [1.0] * 4), axis=2)
    other.save(tmp_path)
    assert ratio(read_variation(tmp_path)) == pytest.approx(0.3, abs=1e-5)


def test_without_reconstructions_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("of an older run")
    found = Variation()
    found.add({"image": torch.zeros(1, 4, 4), "slice_labels": torch.zeros(1), "slice_scores": torch.zeros(1)}, axis=2)
    found.save(tmp_path)
    assert read_variation(tmp_path) is None
    assert math.isnan(ratio(None))
    assert merge_variations([None, {"normal_slices": 3, "images": 1.0, "reconstructions": 0.5}]) is None


def test_folds_weigh_as_many_slices_as_they_have() -> None:
    folds = [
        {"normal_slices": 3, "images": 1.0, "reconstructions": 0.0},
        {"normal_slices": 1, "images": 5.0, "reconstructions": 4.0},
    ]
    assert merge_variations(folds) == {"normal_slices": 4, "images": 2.0, "reconstructions": 1.0}
