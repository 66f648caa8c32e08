"""Maps are written into their folder, whatever a case is called."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.transforms import SaveMapsd

MAP = MetaTensor(torch.ones(1, 2, 3, 4), affine=torch.eye(4))


def test_a_map_is_named_by_its_case(tmp_path: Path) -> None:
    SaveMapsd("pred", tmp_path / "out", {"pred": "anomaly_map"})({"pred": MAP, "case": "a"})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_anomaly_map.nii.gz"]


@pytest.mark.parametrize(("tilt", "code"), [(0.0, 1), (0.3, 0)])
def test_a_sheared_grid_states_no_qform(tmp_path: Path, tilt: float, code: int) -> None:
    affine = torch.eye(4)
    affine[1, 2] = tilt
    SaveMapsd("pred", tmp_path)({"pred": MetaTensor(torch.ones(1, 2, 3, 4), affine=affine), "case": "a"})
    (file,) = tmp_path.iterdir()
    written = nib.Nifti1Image.from_filename(file)
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (code, 1)
    assert torch.allclose(torch.as_tensor(written.affine, dtype=torch.float32), affine)


@pytest.mark.parametrize("case", ["../../x", "/x", "..\\x", "a/../../../x", "C:x", "nul", ""])
def test_a_case_that_leads_out_of_the_folder_is_refused(tmp_path: Path, case: str) -> None:
    with pytest.raises(ValueError, match=r"case: expected a name without"):
        SaveMapsd("pred", tmp_path / "in" / "out")({"pred": MAP, "case": case})
    assert not list(tmp_path.rglob("*.nii.gz"))


def test_a_map_of_an_image_has_its_rows_and_columns(tmp_path: Path) -> None:
    SaveMapsd("pred", tmp_path)({"pred": MetaTensor(torch.arange(6.0).reshape(1, 2, 3)), "case": "a"})
    assert nib.nifti1.Nifti1Image.from_filename(tmp_path / "a_pred.nii.gz").get_fdata().tolist() == [
        [0, 1, 2],
        [3, 4, 5],
    ]
