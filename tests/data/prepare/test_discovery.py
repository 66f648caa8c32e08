"""Whose a volume is: all sessions of a BIDS subject are one patient's."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.data.prepare.discovery import tree_sources

NAMES = ["sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_ses-1_T1w"]


@pytest.mark.parametrize("nested", [False, True])
def test_sessions_of_a_subject_are_one_patient(tmp_path: Path, nested: bool) -> None:
    for name in NAMES:
        subject, session, _ = name.split("_")
        folder = tmp_path / subject / session / "anat" if nested else tmp_path
        folder.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)), folder / f"{name}.nii.gz")
    assert [source.patient for source in tree_sources(tmp_path, normal=True)] == ["sub-01", "sub-01", "sub-02"]
