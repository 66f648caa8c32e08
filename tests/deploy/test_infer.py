"""Inference without thresholds: a map, and a mask never by accident."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

from lib.infer import AnomalyInfer
from lib.served import Served

from tests.deploy.conftest import copy_of


@pytest.fixture
def infer(model: Path, tmp_path: Path) -> AnomalyInfer:
    without = copy_of(model, tmp_path / "without", thresholds=False)
    return AnomalyInfer(Served(tmp_path, without, weights=tmp_path))


def test_without_thresholds_a_mask_is_refused_and_a_map_given(infer: AnomalyInfer, studies: Path) -> None:
    source = str(studies / "test-001.nii.gz")
    assert infer.info()["normal_volumes_for_thresholds"] is None
    with pytest.raises(ValueError, match=r"without: expected a model with thresholds for a mask, got one without"):
        infer({"source": source})
    file, scores = infer({"source": source, "output_type": "map"})
    assert nib.Nifti1Image.from_filename(file).get_fdata().max() > 0
    assert scores["p_value"] is scores["threshold"] is scores["pixel_threshold"] is None
    Path(file).unlink()


@pytest.mark.parametrize("wanted", [["mask"], "heatmap"])
def test_an_unknown_output_is_refused(infer: AnomalyInfer, studies: Path, wanted: object) -> None:
    with pytest.raises(ValueError, match="output_type: expected one of mask, map"):
        infer({"source": str(studies / "test-001.nii.gz"), "output_type": wanted})
