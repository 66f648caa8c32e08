"""Inference without thresholds, of a checkpoint of its own: a map, and a mask never by accident."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

from lib.infer import AnomalyInfer
from lib.served import Served


@pytest.fixture
def infer(bundle: Path, checkpoint: Path, tmp_path: Path) -> AnomalyInfer:
    alone = tmp_path / "model.pt"
    alone.write_bytes(checkpoint.read_bytes())
    return AnomalyInfer(Served(tmp_path, bundle, alone, "tiny"))


def test_without_thresholds_a_mask_is_refused_and_a_map_given(infer: AnomalyInfer, studies: Path) -> None:
    source = str(studies / "test-001.nii.gz")
    assert infer.info()["normal_volumes_for_thresholds"] is None
    with pytest.raises(ValueError, match=r"expected a calibration\.json beside the checkpoint"):
        infer({"source": source})
    file, scores = infer({"source": source, "output_type": "map"})
    assert nib.Nifti1Image.from_filename(file).get_fdata().max() > 0
    assert scores["p_value"] is scores["threshold"] is scores["pixel_threshold"] is None
    Path(file).unlink()


def test_the_newest_complete_training_is_served(infer: AnomalyInfer) -> None:
    served = infer.served
    first, given = served.model(), served.sha256
    assert served.next_training().name == "0001"
    for name in ("0001", "0002", ".0003.unfinished"):
        folder = served.trainings / name
        folder.mkdir(parents=True)
        (folder / "model.pt").write_bytes(served.given.read_bytes())
    assert served.checkpoint.parent.name == "0002"
    assert served.next_training().name == "0003"
    assert served.model() is not first
    assert served.model() is served.model()
    assert served.sha256 == given  # the same bytes


@pytest.mark.parametrize("wanted", [["mask"], "heatmap"])
def test_an_unknown_output_is_refused(infer: AnomalyInfer, studies: Path, wanted: object) -> None:
    with pytest.raises(ValueError, match="output_type: expected one of mask, map"):
        infer({"source": str(studies / "test-001.nii.gz"), "output_type": wanted})
