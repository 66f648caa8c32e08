"""Maps and scores of volumes: what is skipped, what is counted, how slices become one score, memory of one volume."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qfae_monai.anomaly import AnomalyInferer, AnomalyResult, AnomalyScorer, VolumeScore


def clipped(image: Tensor) -> Tensor:
    """Stands for a trained network: reconstructs whatever is at most 1."""
    return image.clamp(max=1.0).expand(-1, 3, -1, -1)


def inferer(**arguments: Any) -> AnomalyInferer:
    return AnomalyInferer(AnomalyScorer(nn.L1Loss(reduction="none")), image_size=16, batch_size=4, **arguments)


def volume(slices: int = 8) -> Tensor:
    """(1, 1, 16, 16, slices): a body of 0.5, the first slice empty, a bright spot in slice 5 and a fainter one in 6."""
    made = torch.zeros(1, 1, 16, 16, slices)
    made[..., 2:14, 2:14, 1:] = 0.5
    made[0, 0, 4:6, 9:11, 5] = 3.0
    made[0, 0, 4:6, 9:11, 6] = 2.0
    return made


def test_skipped_slices_are_counted_by_reason_and_have_no_score() -> None:
    found = inferer(index_range=(0, 6))(volume(), clipped)
    assert torch.isnan(found["slice_scores"][0]).nonzero()[:, 0].tolist() == [0, 7]
    assert (found["empty"].tolist(), found["outside"].tolist()) == ([1], [1])
    assert found["visible"].tolist() == [int((~found["slice_scores"].isnan()).sum()) + 1]


def test_slices_beyond_the_share_are_outside_and_beyond_the_foreground_empty() -> None:
    found = inferer(share=(0.0, 0.5))(volume(), clipped)
    assert (~found["slice_scores"][0].isnan()).nonzero()[:, 0].tolist() == [1, 2, 3, 4]
    assert (found["empty"].item(), found["outside"].item(), found["visible"].item()) == (1, 3, 7)


@pytest.mark.parametrize(("over_slices", "expected"), [("max", 2.0), ("top_k", 1.5), ("mean", 3 / 7)])
def test_volume_score_is_made_of_the_scored_slices(over_slices: Any, expected: float) -> None:
    found = inferer(volume_score=VolumeScore(over_slices, k=2))(volume(), clipped)
    assert found["score"].item() == pytest.approx(expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_map_lies_on_the_volumes_grid(axis: int) -> None:
    moved = volume()[0, 0].movedim(2, axis)[None, None]
    found = inferer(axis=axis)(moved, clipped)["anomaly_map"]
    assert found.shape == moved.shape
    assert found.argmax() == moved.argmax()


def test_rivals_are_scored_on_the_same_slices() -> None:
    def brightness(image: Tensor, position: Tensor | None) -> AnomalyResult:
        return AnomalyResult(image, image.flatten(1).amax(1))

    found = inferer(rivals={"brightness": brightness}, volume_score=VolumeScore("mean"))(volume(), clipped)
    scores = found["brightness_slice_scores"][0]
    assert torch.isnan(scores).tolist() == torch.isnan(found["slice_scores"][0]).tolist()
    assert scores[5].item() == pytest.approx(3.0)
    assert found["brightness_score"].item() == pytest.approx(scores[1:].mean().item())
    assert found["brightness_map"].shape == volume().shape


def test_images_have_one_slice_each() -> None:
    images = volume()[0].movedim(3, 0)[1:]
    found = inferer(return_reconstruction=True)(images, clipped)
    assert found["slice_scores"].shape == (7, 1)
    assert found["empty"].tolist() == [0] * 7
    assert torch.equal(found["reconstruction"], images.clamp(max=1.0))


def test_score_that_is_not_finite_is_an_error() -> None:
    broken = volume()
    broken[0, 0, 8, 8, 3] = torch.nan
    with pytest.raises(ValueError, match="finite scores"):
        inferer(volume_score=VolumeScore("mean"))(
            torch.nan_to_num(broken), lambda image: image.expand(-1, 3, -1, -1) / 0
        )


def test_volume_without_a_slice_to_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="no slice to score"):
        inferer(index_range=(0, 0))(volume(), clipped)
