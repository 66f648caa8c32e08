"""Sentences on a model that does not reconstruct, does not beat the mean image, or ranks the wrong way round."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from qfae_monai.evaluation.reconstruction import reconstruction_cautions

NAN = float("nan")
GOOD: dict[str, Any] = {
    "reconstruction": {"relative_error": 0.5, "variation": 0.9},
    "metrics": {"slice": {"auroc": {"value": 0.8, "low": 0.7, "high": 0.9}}},
    "shortcuts": [{"level": "slice", "feature": "rival_mean_image", "auroc": 0.6, "rivals": False}],
}
TEST_CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"reconstruction": {"relative_error": NAN, "variation": NAN}}, []),
    ({"reconstruction": {"relative_error": 0.81, "variation": 0.9}}, ["Hardly better than one image: .* 0.81 of that"]),
    ({"reconstruction": {"relative_error": 0.5, "variation": 0.42}}, ["do not follow their input: .* vary 0.42 times"]),
    (
        {"metrics": {"slice": {"auroc": {"value": 0.3, "low": 0.2, "high": 0.49}}}},
        [r"Wrong way round: slice AUROC is 0\.300 \(0\.200 to 0\.490\), below chance"],
    ),
    ({"metrics": {"slice": {"auroc": {"value": 0.3, "low": 0.1, "high": 0.51}}}}, []),
    ({"metrics": {"slice": {"auroc": {"value": 0.3, "low": NAN, "high": NAN}}}}, []),
    (
        {"shortcuts": [{"level": "slice", "feature": "rival_mean_image", "auroc": 0.79, "rivals": True}]},
        [r"does not beat the mean training image through its own score on slices: AUROC 0\.800, mean image 0\.790"],
    ),
]


@pytest.mark.parametrize(("change", "expected"), TEST_CASES)
def test_what_is_said(change: dict[str, Any], expected: list[str]) -> None:
    levels: Any = [SimpleNamespace(name="slice")]
    found = reconstruction_cautions({**GOOD, **change}, levels)
    assert len(found) == len(expected)
    for sentence, pattern in zip(found, expected, strict=True):
        assert re.search(pattern, sentence), sentence
