"""What is found to score, and what it is called."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from qfae_monai.files.tables import is_file_name
from qfae_monai.predict.studies import find_studies
from tests.reading.dicom_factory import series, volume


def _nifti(path: Path, shape: tuple[int, ...] = (6, 5, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nib.save(nib.Nifti1Image(pixels, np.diag([2.0, 2.0, 3.0, 1.0])), path)
    return path


def test_a_folder_of_many_holds_series_volumes_and_images(tmp_path: Path) -> None:
    series(tmp_path / "a", volume((3, 4, 3)))
    series(tmp_path / "a" / "b", volume((4, 4, 3)), SeriesInstanceUID="1.2.3.4.5", SeriesNumber=9)
    _nifti(tmp_path / "b" / "scan.nii.gz")
    Image.new("L", (8, 6)).save(tmp_path / "c.png")
    (tmp_path / "notes.txt").write_text("no image")
    found = find_studies(tmp_path)
    assert sorted(study.kind for study in found) == ["DICOM", "DICOM", "NIfTI", "image"]
    assert {study.name for study in found if study.kind != "DICOM"} == {"b_scan", "c"}
    assert sorted(study.read().array.shape[2] for study in found if study.kind != "image") == [3, 4, 4]


def test_names_and_hashes_hold_nothing_of_the_header(tmp_path: Path) -> None:
    series(tmp_path, volume((2, 4, 3)), PatientName="Doe^John", SeriesDescription="Doe brain")
    (study,) = find_studies(tmp_path)
    assert "Doe" not in study.name
    assert len(study.hash()) == 64


def test_the_hash_follows_content_and_not_names(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    series(first, volume((3, 4, 3)))
    second.mkdir()
    for number, file in enumerate(sorted(first.iterdir(), reverse=True)):
        (second / f"{number}.dcm").write_bytes(file.read_bytes())
    assert find_studies(first)[0].hash() == find_studies(second)[0].hash()
    series(second, volume((4, 4, 3)))
    assert find_studies(first)[0].hash() != find_studies(second)[0].hash()


def test_a_series_within_an_archive(tmp_path: Path) -> None:
    series(tmp_path / "dicom", volume((3, 4, 3)))
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for file in (tmp_path / "dicom").iterdir():
            archive.write(file, file.name)
    (study,) = find_studies(tmp_path / "study.zip")
    assert study.read().array.shape[2] == 3


def test_one_slice_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"flat\.nii\.gz: expected a volume of several slices, got one slice"):
        find_studies(_nifti(tmp_path / "flat.nii.gz", (6, 5, 1)))[0].read()


def test_names_that_occur_again_are_told_apart(tmp_path: Path) -> None:
    for suffix in ("png", "bmp"):
        Image.new("L", (8, 6)).save(tmp_path / f"a.{suffix}")
    Image.new("L", (8, 6)).save(tmp_path / "a-2.png")
    Image.new("L", (8, 6)).save(tmp_path / "A.png")
    names = [study.name for study in find_studies(tmp_path)]
    assert len({name.casefold() for name in names}) == 4


def test_hidden_and_odd_files_name_no_folder(tmp_path: Path) -> None:
    Image.new("L", (8, 6)).save(tmp_path / "a.png")
    for name in ("._a.png", "..png"):
        shutil.copy(tmp_path / "a.png", tmp_path / name)
    odd = tmp_path / os.fsdecode(b"M\xfcller.png")
    shutil.copy(tmp_path / "a.png", odd)
    assert sorted(study.name for study in find_studies(tmp_path)) == ["M\N{REPLACEMENT CHARACTER}ller", "a"]
    (study,) = find_studies(tmp_path / "..png")
    assert study.name not in ("", ".", "..")


def test_files_of_one_name_in_two_folders_of_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for folder, shape in (("one", (6, 5, 4)), ("two", (6, 5, 3))):
            archive.write(_nifti(tmp_path / folder / "T1.nii.gz", shape), f"{folder}/T1.nii.gz")
    studies = find_studies(tmp_path / "two.zip")
    assert sorted(study.read().array.shape[2] for study in studies) == [3, 4]
    assert len({study.hash() for study in studies}) == 2


def test_nothing_to_score_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such path"):
        find_studies(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="expected DICOM, NIfTI"):
        find_studies(tmp_path)
    _nifti(tmp_path / "scan.nii.gz")
    with pytest.raises(ValueError, match=r"a series named 'FLAIR', got 1 others: `qfae check`"):
        find_studies(tmp_path, series="FLAIR")


def test_names_that_no_file_can_have_become_others(tmp_path: Path) -> None:
    for name in ("a\nb.png", "a\x1b[2J.png", "nul.png", "c\\d.png"):
        Image.new("L", (8, 6)).save(tmp_path / name)
    names = [study.name for study in find_studies(tmp_path)]
    assert len(set(names)) == 4
    assert all(is_file_name(name) for name in names)


def test_a_header_that_names_a_foreign_file_is_not_hashed_with_it(tmp_path: Path) -> None:
    head = "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = /etc/hostname\n"
    (tmp_path / "a.mhd").write_text(head)
    (study,) = find_studies(tmp_path / "a.mhd")
    assert study.refusal is not None
    with pytest.raises(ValueError, match=r"a\.mhd: ElementDataFile"):
        study.hash()
