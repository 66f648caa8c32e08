"""What is found, whose it is, and what is left aside or refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.model.scans import Found, look
from tests.model.made_up import mask, picture, volume
from tests.reading.dicom_factory import series
from tests.reading.dicom_factory import volume as dicom_volume


def patients(found: Found) -> list[str]:
    return sorted({scan.patient for scan in found.scans})


def aside(found: Found) -> Counter[str]:
    return Counter(one.kind for one in found.left_aside)


@pytest.mark.parametrize("name", ["sub-{}/ses-{}/anat/sub-{}_ses-{}_T1w.nii.gz", "sub-{2}_ses-{3}_T1w.nii.gz"])
def test_sessions_of_a_subject_are_one_patient(tmp_path: Path, name: str) -> None:
    for subject in "ab":
        for session in (1, 2):
            volume(tmp_path / name.format(subject, session, subject, session), 10 * ord(subject) + session)
    found = look(tmp_path)
    assert patients(found) == ["sub-a", "sub-b"]
    assert "sub- of BIDS names (2 patients, 4 scans)" in found.patients_told_by


def test_channels_of_nnunet_are_one_case_and_one_of_them_is_chosen(tmp_path: Path) -> None:
    for number in range(4):
        volume(tmp_path / "imagesTr" / f"case{number // 2}_000{number % 2}.nii.gz", number)
    with pytest.raises(ValueError, match=r"several of one visit \(_0000, _0001\): choose one with --image"):
        look(tmp_path)
    found = look(tmp_path, image="*_0000.nii.gz")
    assert patients(found) == ["case0", "case1"]
    assert aside(found) == {"not named like --image": 2}


def test_numbers_of_scans_are_no_channels(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        volume(tmp_path / f"head_000{number}.nii.gz", number)
    assert len(patients(look(tmp_path))) == 3


def test_folders_of_splits_are_no_patients(tmp_path: Path) -> None:
    for number in range(4):
        volume(tmp_path / ("train", "test")[number % 2] / f"p{number}" / "flair.nii.gz", number)
    assert len(patients(look(tmp_path))) == 4


def test_kinds_of_one_visit_are_refused(tmp_path: Path) -> None:
    for number, name in enumerate(("p1/T1", "p1/FLAIR", "p2/T1", "p2/FLAIR")):
        volume(tmp_path / f"{name}.nii.gz", number)
    with pytest.raises(ValueError, match=r"FLAIR.*--image PATTERN"):
        look(tmp_path)
    assert len(look(tmp_path, image="T1*").scans) == 2
    assert len(look(tmp_path, image="*").scans) == 4


def test_what_is_left_aside_is_counted(tmp_path: Path) -> None:
    first = volume(tmp_path / "a.nii.gz", 1)
    volume(tmp_path / "b.nii.gz", 2)
    volume(tmp_path / "again.nii.gz", 1)
    mask(tmp_path / "labels" / "a.nii.gz", lesion=True)
    picture(tmp_path / "screenshot.png", 3)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "broken.nii.gz").write_bytes(first.read_bytes()[:200])
    found = look(tmp_path)
    assert len(found.scans) == 2
    assert aside(found) == {
        "the same scan again": 1,
        "in a folder of masks (give it with --masks)": 1,
        "an image among volumes": 1,
        "no image": 1,
        "refused by the reader": 1,
    }
    assert any(line.startswith("left aside, no image: 1; ") for line in found.sentences())


def test_the_pattern_tells_patients_and_leaves_others_aside(tmp_path: Path) -> None:
    for number, name in enumerate(("001_1", "001_2", "002_1", "other")):
        picture(tmp_path / f"{name}.png", number)
    found = look(tmp_path, patient=r"^(\d+)_")
    assert patients(found) == ["001", "002"]
    assert aside(found) == {"patient not told": 1}
    with pytest.raises(ValueError, match="fits none of 4"):
        look(tmp_path, patient="zzz")
    with pytest.raises(ValueError, match="regular expression"):
        look(tmp_path, patient="(")


def test_abnormal_scans_with_masks(tmp_path: Path) -> None:
    for number in range(3):
        volume(tmp_path / "normal" / f"{number}.nii.gz", number)
    volume(tmp_path / "ill" / "0.nii.gz", 10)
    mask(tmp_path / "masks" / "0.nii.gz", lesion=True)
    found = look(tmp_path / "normal", abnormal=tmp_path / "ill", masks=tmp_path / "masks")
    assert [scan.label for scan in found.scans].count("abnormal") == 1
    assert len(patients(found)) == 4  # 0 of the normal is not 0 of the ill
    mask(tmp_path / "masks" / "stranger.nii.gz", lesion=True)
    with pytest.raises(ValueError, match=r"1 of 2 that fit none: stranger\.nii\.gz"):
        look(tmp_path / "normal", abnormal=tmp_path / "ill", masks=tmp_path / "masks")


def test_a_mask_says_what_is_abnormal_and_has_the_scans_grid(tmp_path: Path) -> None:
    for number in range(3):
        volume(tmp_path / "scans" / f"{number}.nii.gz", number)
    mask(tmp_path / "m" / "0.nii.gz", lesion=False)
    mask(tmp_path / "m" / "1.nii.gz", lesion=True)
    mask(tmp_path / "m" / "2.nii.gz", lesion=True, shape=(6, 5, 3))
    found = look(tmp_path / "scans", masks=tmp_path / "m")
    assert {scan.name: scan.label for scan in found.scans} == {"0": "normal", "1": "abnormal"}
    assert "expected a mask of 6 x 5 x 4" in found.left_aside[-1].reason


def test_a_data_list_keeps_sections_and_patients(tmp_path: Path) -> None:
    for number in range(4):
        volume(tmp_path / f"{number}.nii.gz", number)
    entries = [{"image": f"{number}.nii.gz", "image_label": 0, "patient": f"p{number}"} for number in range(3)]
    unsaid = {"image": "3.nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [*entries[:2], unsaid], "test": entries[2:]}))
    found = look(tmp_path)
    assert [(scan.section, scan.patient) for scan in found.scans] == [
        ("training", "p0"),
        ("training", "p1"),
        ("test", "p2"),
    ]
    assert aside(found) == {"not said to be normal": 1}


def test_a_prepared_folder_keeps_splits(tmp_path: Path) -> None:
    for number, place in enumerate(("train/good", "train/good", "valid/good", "test/good", "test/Ungood")):
        picture(tmp_path / place / f"{number}.png", number)
    found = look(tmp_path)
    assert [(scan.section, scan.label) for scan in found.scans].count(("test", "abnormal")) == 1
    assert found.layout == "prepared folder"


def test_hounsfield_units_are_told_by_values_and_modalities_are_not_mixed(tmp_path: Path) -> None:
    volume(tmp_path / "a.nii.gz", 1, low=-1000)
    found = look(tmp_path)
    assert found.scans[0].looked_at.modality == "CT"
    volume(tmp_path / "b.nii.gz", 2)
    with pytest.raises(ValueError, match="one modality, got 1 CT, 1 unknown"):
        look(tmp_path)


def test_nothing_to_train_on_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such path"):
        look(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="empty"):
        look(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match="got none: 1 no image"):
        look(tmp_path)


def test_dicom_tells_patient_and_modality_in_a_folder_and_in_a_data_list(tmp_path: Path) -> None:
    for number in range(2):
        series(
            tmp_path / f"s{number}",
            dicom_volume() + number,
            Modality="MR",
            PatientID=f"P{number}",
            SeriesInstanceUID=f"1.2.{number}",
            StudyInstanceUID=f"1.3.{number}",
        )
    found = look(tmp_path)
    assert patients(found) == ["P0", "P1"]
    assert [scan.path.name for scan in found.scans] == ["s0", "s1"]
    entries = [{"image": name, "image_label": 0} for name in ("s0", "s1")]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    assert {scan.looked_at.modality for scan in look(tmp_path).scans} == {"MR"}


def test_the_background_is_said_and_voxels_below_it_are_a_warning(tmp_path: Path) -> None:
    values = np.zeros((12, 12, 8), np.float32)
    values[3:9, 3:9, 2:6] = np.random.default_rng(0).uniform(50, 100, (6, 6, 4))
    for name, low in (("a", 0.0), ("b", -7.0)):
        values[0, :3, 0] = low
        nib.save(nib.Nifti1Image(values + (0.001 if low else 0), np.diag([1, 1, 3, 1.0])), tmp_path / f"{name}.nii.gz")
    said = look(tmp_path).sentences()
    assert any(line.startswith("background: ") and "volume" in line for line in said)
    assert any("warning: 1 of 2 volumes with voxels below the background" in line for line in said)


@pytest.mark.parametrize(
    ("files", "classes"),
    [
        (["glioma/p1.nii", "glioma/p2.nii", "stroke/p3.nii", "stroke/p4.nii"], {"glioma", "stroke"}),
        (["Smith/p1.nii", "Jones/p2.nii"], set()),  # a folder of one patient may be called by a name
        (["glioma/p1.nii", "glioma/p2.nii", "p3.nii"], set()),
        (["scans/p1.nii", "scans/p2.nii"], set()),
    ],
)
def test_first_folders_of_abnormal_scans_are_classes(tmp_path: Path, files: list[str], classes: set[str]) -> None:
    volume(tmp_path / "normal" / "p9.nii", 9)
    for number, name in enumerate(files):
        volume(tmp_path / "ill" / name, number)
    scans = look(tmp_path / "normal", abnormal=tmp_path / "ill", patient=r"(p\d)").scans
    assert {scan.columns["class"] for scan in scans if "class" in scan.columns} == classes


def test_volumes_or_images_are_kept_where_both_lie_together(tmp_path: Path) -> None:
    volume(tmp_path / "a.nii", 1)
    picture(tmp_path / "b.png", 2)
    for kind, others in ((None, "an image among volumes"), ("image", "a volume among images")):
        found = look(tmp_path, kind=kind)
        assert found.kind == (kind or "volume")
        assert [one.kind for one in found.left_aside] == [others]
