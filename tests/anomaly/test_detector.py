"""The method as one module: the same numbers as its parts, and filled by a network's checkpoint alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qfae_monai.anomaly import AnomalyDetector, AnomalyScorer
from qfae_monai.anomaly.detector import GraphRecord


def detector() -> AnomalyDetector:
    return AnomalyDetector(nn.Conv2d(1, 3, 1), AnomalyScorer(nn.L1Loss(reduction="none")))


def test_same_as_network_and_scorer() -> None:
    whole, image = detector(), torch.rand(2, 1, 8, 8)
    reconstruction, anomaly_map, score = whole(image)
    expected = whole.scorer(image, whole.network(image))
    assert torch.equal(reconstruction, whole.network(image))
    assert torch.equal(anomaly_map, expected.anomaly_map)
    assert torch.equal(score, expected.score)


def test_a_networks_checkpoint_fills_it() -> None:
    whole, saved = detector(), nn.Conv2d(1, 3, 1).state_dict()
    whole.load_state_dict(saved)
    assert torch.equal(whole.network.state_dict()["weight"], saved["weight"])


@pytest.mark.parametrize("state", [nn.Conv2d(1, 3, 3).state_dict(), {}, {"weight": torch.zeros(3, 1, 1, 1)}])
def test_another_networks_checkpoint_is_refused(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="checkpoint does not fit Conv2d"):
        detector().load_state_dict(state)


def test_half_loading_is_refused() -> None:
    with pytest.raises(ValueError, match="strict=False"):
        detector().load_state_dict(nn.Conv2d(1, 3, 1).state_dict(), strict=False)


@pytest.mark.parametrize("text", ['{"graph": "detector"}', "no JSON", "[]"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"record|Expecting"):
        GraphRecord.from_json(text)
