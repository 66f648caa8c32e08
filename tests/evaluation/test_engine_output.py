"""What has no label, and what was not scored, is NaN for the metrics, or no pixel of theirs."""

from __future__ import annotations

import pytest
import torch

from qfae_monai.evaluation import from_pixels, from_slices, from_volumes
from qfae_monai.evaluation.engine_output import scored_slices

NAN = torch.nan
OUTPUT = [
    {
        "slice_scores": torch.tensor([0.1, NAN, 0.3]),
        "slice_labels": torch.tensor([0.0, 1.0, 1.0]),
        "score": torch.tensor(0.3),
        "volume_label": torch.tensor(1.0),
        "anomaly_map": torch.arange(12.0).reshape(1, 2, 2, 3),
        "label": torch.ones(1, 2, 2, 3),
    },
    {
        "slice_scores": torch.tensor([0.5, 0.6, 0.7]),
        "slice_labels": torch.full((3,), NAN),
        "score": torch.tensor(0.7),
        "volume_label": torch.tensor(NAN),
        "anomaly_map": torch.zeros(1, 2, 2, 3),
    },
]


def test_slices() -> None:
    scores, labels = from_slices()(OUTPUT)
    torch.testing.assert_close(scores, torch.tensor([0.1, NAN, 0.3, 0.5, 0.6, 0.7]), equal_nan=True)
    torch.testing.assert_close(labels, torch.tensor([0.0, 1.0, 1.0, NAN, NAN, NAN]), equal_nan=True)


def test_volumes() -> None:
    scores, labels = from_volumes()(OUTPUT)
    assert torch.equal(scores, torch.tensor([0.3, 0.7]))
    torch.testing.assert_close(labels, torch.tensor([1.0, NAN]), equal_nan=True)


def test_pixels() -> None:
    (values,), (labels,) = from_pixels("anomaly_map")(OUTPUT)
    assert sorted(values.tolist()) == [0.0, 2.0, 3.0, 5.0, 6.0, 8.0, 9.0, 11.0]  # slices 0 and 2 of the first case
    assert len(labels) == 8
    assert len(from_pixels("anomaly_map")(OUTPUT[1:])[0]) == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scored_slices_come_in_their_order(axis: int) -> None:
    volume = torch.arange(27.0).reshape(1, 3, 3, 3)
    item = {"map": volume, "slice_scores": torch.tensor([0.5, torch.nan, 0.1])}
    found = scored_slices(item, "map", axis)
    assert torch.equal(found, torch.stack([volume[0].select(axis, place) for place in (0, 2)]))
    assert torch.equal(scored_slices({"map": volume[..., 0]}, "map", axis), volume[..., 0])
