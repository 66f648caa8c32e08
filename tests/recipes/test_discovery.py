"""Whose a volume is, by the rules of trainings; masks beside their images; lists whose patients are on one side."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.recipes.discovery import datalist_sources, tree_sources

NAMES = ["sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_ses-1_T1w"]


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)), path)


@pytest.mark.parametrize("nested", [False, True])
def test_sessions_of_a_subject_are_one_patient(tmp_path: Path, nested: bool) -> None:
    for name in NAMES:
        subject, session, _ = name.split("_")
        write((tmp_path / subject / session / "anat" if nested else tmp_path) / f"{name}.nii.gz")
    assert [source.patient for source in tree_sources(tmp_path, normal=True)] == ["sub-01", "sub-01", "sub-02"]


def test_visits_below_a_patients_folder_are_one_patients(tmp_path: Path) -> None:
    for name in ("p1/v1/a", "p1/v2/a", "p2/v1/a"):
        write(tmp_path / f"{name}.nii.gz")
    sources = tree_sources(tmp_path, normal=True)
    assert [(source.patient, source.told_by) for source in sources] == [(p, "folder") for p in ("p1", "p1", "p2")]


@pytest.mark.parametrize(
    "names",
    [
        [("imagesTr/c1_0000", "labelsTr/c1"), ("imagesTr/c2_0000", "labelsTr/c2")],
        [("c1", "c1_seg"), ("c2", "c2_seg")],
        [("p1/img", "p1/seg"), ("p2/img", "p2/seg")],
        [("p1/img", "p1/seg")],
    ],
)
def test_masks_are_found_beside_their_images(tmp_path: Path, names: list[tuple[str, str]]) -> None:
    for name in (one for pair in names for one in pair):
        write(tmp_path / f"{name}.nii.gz")
    label = {"labelsTr": "c?.nii.gz", "c1_seg": "*_seg.nii.gz", "p1": "seg.nii.gz"}[names[0][1].split("/")[0]]
    sources = tree_sources(tmp_path, image="*", label=label)
    assert [(source.refusal, source.label) for source in sources] == [
        ("", (str(tmp_path / f"{mask}.nii.gz"),)) for _, mask in names
    ]


def test_a_list_whose_subject_is_on_two_sides_is_refused(tmp_path: Path) -> None:
    for name in NAMES:
        write(tmp_path / f"{name}.nii.gz")
    listed = tmp_path / "list.json"
    listed.write_text(
        json.dumps({"training": [f"{NAMES[0]}.nii.gz"], "test": [f"{name}.nii.gz" for name in NAMES[1:]]})
    )
    with pytest.raises(ValueError, match="expected each patient in one section"):
        datalist_sources(listed, normal=True)
