"""What is kept of a case: every lesion counts, nothing unlabelled is taken for normal."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.anomaly import Calibration
from qfae_monai.evaluation.case_record import case_record
from qfae_monai.evaluation.histogram import COARSE_BITS
from qfae_monai.transforms import SliceSummaryd

SHAPE = (1, 6, 6, 4)


def summarised(found: dict[str, Any]) -> dict[str, Any]:
    data: dict[Hashable, Any] = dict(found.items())
    return {str(key): value for key, value in SliceSummaryd()(data).items()}


def evaluated(**changes: Any) -> dict[str, Any]:
    """A volume of four slices, the last one skipped; a lesion of 4 voxels in slice 1, one of 1 in the skipped slice."""
    image = MetaTensor(torch.rand(SHAPE), affine=torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0])))
    label, anomaly_map = torch.zeros(SHAPE), torch.zeros(SHAPE)
    label[0, 1:3, 1:3, 1] = 1
    label[0, 5, 5, 3] = 1
    anomaly_map[0, 1, 1, 1] = 0.9
    anomaly_map[0, 4, 4, 2] = 0.8
    found = {
        "case": "a",
        "patient": "p",
        "image": image,
        "label": label,
        "anomaly_map": anomaly_map,
        "slice_scores": torch.tensor([0.1, 0.9, 0.8, torch.nan]),
        "score": torch.tensor(0.9),
        "empty": torch.tensor(1),
        "outside": torch.tensor(0),
        **changes,
    }
    return summarised(found)


def test_rows_of_a_volume() -> None:
    record = case_record(evaluated(), axis=2, pixel_threshold=0.5)
    assert [row["slice"] for row in record.slices] == [0, 1, 2]
    assert [row["label"] for row in record.slices] == [0, 1, 0]
    assert [row["lesion_pixels"] for row in record.slices] == [0, 4, 0]
    assert [row["position"] for row in record.slices] == pytest.approx([0, 1 / 3, 2 / 3])
    expected = {
        "case": "a",
        "patient": "p",
        "label": 1,
        "slices": 4,
        "scored": 3,
        "empty": 1,
        "outside": 0,
        "mask": True,
        "lesions": 2,
        "lesions_found": 1,
        "false_positives": 1,
        "lesion_voxels": 5,
        "voxel_mm3": 12.0,
        "slice_axis": 2,
    }
    assert {key: record.volume[key] for key in expected} == pytest.approx(expected)
    assert record.volume["dice"] == pytest.approx(2 * 1 / (2 + 5))


def test_lesion_in_a_skipped_slice_counts_as_missed() -> None:
    lesions = case_record(evaluated(), axis=2, pixel_threshold=0.5).lesions
    assert [(row["voxels"], row["mm3"], row["found"]) for row in lesions] == [(4, 48.0, True), (1, 12.0, False)]


def test_histograms_hold_the_pixels_of_scored_slices() -> None:
    record = case_record(evaluated(mean_distance_map=torch.rand(SHAPE)), axis=2)
    assert set(record.maps) == {"anomaly_map", "image", "mean_distance"}
    for histogram in record.maps.values():
        assert histogram.normal.sum() == 3 * 36 - 4
        assert histogram.lesion.sum() == 4
    assert record.map_of_case is not None
    assert record.map_of_case.bits >= COARSE_BITS


def test_without_a_mask_nothing_is_normal() -> None:
    for label, expected in (({}, None), ({"image_label": 1}, 1)):
        record = case_record(evaluated(label=None, **label), axis=2, pixel_threshold=0.5)
        assert {row["label"] for row in record.slices} == {None}
        assert record.volume["label"] == expected
        assert not record.volume["mask"]
        assert not record.maps
    normal = case_record(evaluated(label=None, image_label=0), axis=2)
    assert {row["label"] for row in normal.slices} == {0}


def test_p_values_and_rivals() -> None:
    scores = np.arange(1, 10) / 10
    calibration = Calibration(scores, scores, np.array([0.5]), np.array([9]), 9, "0" * 64)
    found = evaluated(neighbours_slice_scores=torch.tensor([1.0, 2, 3, torch.nan]), neighbours_score=torch.tensor(3.0))
    record = case_record(found, axis=2, calibration=calibration)
    assert [row["p_value"] for row in record.slices] == pytest.approx([1.0, 0.2, 0.3], abs=0.11)
    assert record.volume["p_value"] == pytest.approx(0.2, abs=0.11)
    assert [row["rival_neighbours"] for row in record.slices] == [1, 2, 3]
    assert record.volume["rival_neighbours"] == 3


def test_image_is_a_case_of_one_slice() -> None:
    found = {
        "case": "i",
        "image": torch.rand(1, 6, 6),
        "anomaly_map": torch.rand(1, 6, 6),
        "image_label": 1,
        "slice_scores": torch.tensor([0.5]),
        "score": torch.tensor(0.5),
        "empty": torch.tensor(0),
        "outside": torch.tensor(0),
    }
    record = case_record(summarised(found), axis=2)
    (row,) = record.slices
    assert (row["position"], row["label"], row["patient"]) == (0.5, 1, "i")
    assert record.volume["slice_axis"] is None
    assert record.volume["voxel_mm3"] is None
