"""Slice scores to a volume's score."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from qfae_monai.anomaly import VolumeScore

SCORES = torch.tensor([1.0, 5.0, 3.0, 2.0])
TEST_CASES: list[tuple[dict[str, Any], float]] = [
    ({}, 5.0),
    ({"over_slices": "mean"}, 2.75),
    ({"over_slices": "top_k", "k": 2}, 4.0),
    ({"over_slices": "top_k", "k": 9}, 2.75),  # fewer slices than k: all of them
]


@pytest.mark.parametrize(("arguments", "expected"), TEST_CASES)
def test_reduction(arguments: dict[str, Any], expected: float) -> None:
    assert VolumeScore(**arguments)(SCORES).item() == expected


@pytest.mark.parametrize(("arguments", "message"), [({"over_slices": "median"}, "median"), ({"k": 0}, "k must")])
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VolumeScore(**arguments)
