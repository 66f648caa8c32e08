"""Inference without thresholds: a map, and a mask never by accident."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

from lib.infer import AnomalyInfer
from lib.served import Served

from qfae_monai.reading import read_series
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


@pytest.mark.parametrize("wanted", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_map_of_tilted_ct_lies_where_the_scan_does(infer: AnomalyInfer, tmp_path: Path, wanted: str) -> None:
    """ITK looks at the qform first where its code is set, which cannot hold a shear."""
    voxels = np.zeros((20, 20, 12), np.float32)
    voxels[3:17, 3:17, 2:10] = np.random.default_rng(0).uniform(50, 100, (14, 14, 8))
    affine = np.array([[-2, 0, 0, 10], [0, -2, 0.9, 20], [0, 0, 3, 5], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "tilted.nii.gz")
    file, _ = infer({"source": str(tmp_path / "tilted.nii.gz"), "output_type": "map", "result_extension": wanted})
    found = read_series(file)
    assert np.allclose(found.affine, affine, atol=1e-4)
    assert found.array.max() > 0
    if wanted.startswith(".nii"):
        assert int(nib.Nifti1Image.from_filename(file).header["qform_code"]) == 0
    Path(file).unlink()


@pytest.mark.parametrize("wanted", [["mask"], "heatmap"])
def test_an_unknown_output_is_refused(infer: AnomalyInfer, studies: Path, wanted: object) -> None:
    with pytest.raises(ValueError, match="output_type: expected one of mask, map"):
        infer({"source": str(studies / "test-001.nii.gz"), "output_type": wanted})
