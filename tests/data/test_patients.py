"""Whose scans are: the rules of names, masks beside them, and what makes one doubt."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.data import check_patient_disjoint
from qfae_monai.data.patients import NamedScan, tell_patients, told_apart, warnings_on

NAMINGS = {
    "bids": "sub-{p:02d}/ses-{s}/anat/sub-{p:02d}_ses-{s}_T1w",
    "flat": "sub-{p:02d}_ses-{s}_T1w",
    "nnunet": "imagesTr/case{p:02d}_{s:04d}",
    "folders": "p{p:02d}/visit{s}/head",
}


def named(naming: str, patients: int = 4) -> list[NamedScan]:
    names = [NAMINGS[naming].format(p=patient, s=session) for patient in range(patients) for session in (0, 1)]
    return [NamedScan(Path(f"{name}.nii.gz"), "volume", name) for name in names]


@pytest.mark.parametrize("naming", NAMINGS)
def test_both_sessions_are_one_patient(naming: str) -> None:
    told, others = tell_patients(named(naming))
    assert len({scan.patient for scan in told}) == 4
    assert not others
    assert "(4 patients, 8 scans)" in told_apart(told)
    assert warnings_on(told) == []


def test_masks_without_channel_belong_to_the_case() -> None:
    images = named("nnunet")
    masks = [NamedScan(Path("m"), "volume", f"labelsTr/case{number:02d}") for number in range(4)]
    told = tell_patients(masks, like=images)[0]
    assert [scan.patient for scan in told] == [f"case{number:02d}" for number in range(4)]


@pytest.mark.parametrize("told_by", ["folder", "PatientID in DICOM headers"])
def test_one_patient_with_most_scans_is_a_warning_that_names_nobody(told_by: str) -> None:
    scans = [NamedScan(Path(str(n)), "volume", str(n), "Doe" if n < 7 else "Roe", told_by) for n in range(10)]
    (warning,) = warnings_on(scans)
    assert "has 7 of 10 scans" in warning
    assert "Doe" not in warning
    assert warnings_on(scans[5:]) == []


def test_folders_of_sites_are_a_warning() -> None:
    names = [f"site{site}/sub{subject}/head" for site in "AB" for subject in range(8)]
    told, _ = tell_patients([NamedScan(Path(f"{name}.nii.gz"), "volume", name) for name in names])
    (warning,) = warnings_on(told)
    assert "2 patients, told by folder, have 8 scans each on average" in warning


@pytest.mark.parametrize("naming", ["bids", "flat", "nnunet"])
def test_a_list_with_one_patient_on_two_sides_is_refused(tmp_path: Path, naming: str) -> None:
    images = [f"{scan.name}.nii.gz" for scan in named(naming)]
    for image in images:
        (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.float32), np.eye(4)), tmp_path / image)
    listed = tmp_path / "dataset.json"
    listed.write_text(json.dumps({"training": images[:3], "test": images[3:]}))
    with pytest.raises(ValueError, match="expected each patient in one section"):
        check_patient_disjoint(listed)
    listed.write_text(json.dumps({"training": images[:4], "test": images[4:]}))
    check_patient_disjoint(listed)
