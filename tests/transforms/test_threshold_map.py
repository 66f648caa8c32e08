"""Masks from anomaly maps."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.transforms import ThresholdMap, ThresholdMapd


def test_voxels_above_the_threshold_are_abnormal_and_stay_where_they_are() -> None:
    affine = torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0], dtype=torch.float64))
    found = ThresholdMapd("pred", threshold=0.5)({"pred": MetaTensor(torch.tensor([[[0.5, 0.6]]]), affine=affine)})
    assert found["mask"].dtype == torch.uint8
    assert found["mask"].tolist() == [[[0, 1]]]
    assert torch.equal(found["mask"].affine, affine)
    assert found["pred"].flatten().tolist() == pytest.approx([0.5, 0.6])  # the map stays beside its mask


def test_without_calibration_there_is_no_mask() -> None:
    assert set(ThresholdMapd("pred", threshold=None)({"pred": torch.zeros(1, 2, 2)})) == {"pred"}
    with pytest.raises(TypeError, match="calibrating"):
        ThresholdMap(None)  # type: ignore[arg-type]
