"""Masks on the grid of their image: sparse segmentations by position, axes in another order; other grids stay apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.sr.codedict import codes

from qfae_monai.reading import LoadSeriesd, read_series
from qfae_monai.reading.masks import read_mask, turns_onto
from qfae_monai.transforms import CheckVolumed
from tests.reading.dicom_factory import AXIAL, SAGITTAL, oblique, series
from tests.reading.test_damaged_series import report

SHAPE = (7, 6, 5)
WORDS = "PatientName PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber ReferringPhysicianName StudyID"
PERSON: dict[str, Any] = {**dict.fromkeys(WORDS.split(), ""), "FrameOfReferenceUID": "1.2.3.9"}
PIXELS = np.arange(210).reshape(SHAPE[::-1]).astype(np.int16)  # (slices, rows, columns)


def lesion() -> Any:
    """(X, Y, Z), two lesions with empty slices between and around them."""
    mask = np.zeros(SHAPE, bool)
    mask[2:4, 1:5, 1] = mask[5, 2, 3] = True
    return mask


def segmentation(files: list[Path], segments: list[Any], path: Path) -> Path:
    """DICOM SEG of masks (X, Y, Z), frames without a voxel left out."""
    highdicom = pytest.importorskip("highdicom")

    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"lesion {number}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(1, len(segments) + 1)
    ]
    sources = [pydicom.dcmread(file) for file in files]
    read = read_series(files[0].parent)
    order = {file: place for place, file in enumerate(read.files)}
    stack = np.stack([segment.transpose(2, 1, 0) for segment in segments], axis=-1)[[order[file] for file in files]]
    highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=stack.astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=described,
        series_instance_uid=pydicom.uid.generate_uid(),
        series_number=9,
        sop_instance_uid=pydicom.uid.generate_uid(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=True,
    ).save_as(path)
    return path


@pytest.mark.parametrize("plane", [AXIAL, SAGITTAL, oblique()])
def test_frames_of_a_sparse_segmentation_lie_where_they_say(tmp_path: Path, plane: Any) -> None:
    files = series(tmp_path / "mr", pixels=PIXELS, **PERSON, orientation=plane)
    one = lesion()
    two = np.zeros(SHAPE, bool)
    two[0, 0, 4] = True
    file = segmentation(files, [one, two], tmp_path / "seg.dcm")
    found = LoadSeriesd(["image", "label"])({"image": tmp_path / "mr", "label": file})
    assert np.array_equal(found["label"][0].numpy(), one | two)
    CheckVolumed()(found)
    image = read_series(tmp_path / "mr")
    for folder in (file, tmp_path / "folder"):
        if folder != file:
            folder.mkdir()
            file.rename(folder / "a.dcm")
        assert np.array_equal(read_mask(folder, image.array.shape, image.affine).array > 0, one | two)


def _zipped(file: Path, folder: Path) -> Path:
    with ZipFile(folder / "mask.zip", "w") as archive:
        archive.write(file, "a/seg.dcm")
    return folder / "mask.zip"


def _bare(file: Path, folder: Path) -> Path:
    """Without preamble and meta information, under any name."""
    dataset = pydicom.dcmread(file)
    with (folder / "mask").open("wb") as stream:
        written = DicomFileLike(stream)
        written.is_little_endian, written.is_implicit_VR = True, False
        write_dataset(written, dataset)
    return folder / "mask"


def _beside_a_report(file: Path, folder: Path) -> Path:
    (folder / "both").mkdir()
    file.rename(folder / "both" / "seg.dcm")
    report(folder / "both" / "report.dcm")
    return folder / "both"


def _in_two_files(file: Path, folder: Path) -> Path:
    (folder / "two").mkdir()
    copy = pydicom.dcmread(file)
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    copy.PixelData = bytes(len(copy.PixelData))
    copy.save_as(folder / "two" / "empty.dcm")
    file.rename(folder / "two" / "seg.dcm")
    return folder / "two"


@pytest.mark.parametrize("wrapped", [_zipped, _bare, _beside_a_report, _in_two_files])
def test_a_segmentation_is_placed_wherever_it_lies(tmp_path: Path, wrapped: Any) -> None:
    files = series(tmp_path / "mr", pixels=PIXELS, **PERSON)
    file = segmentation(files, [lesion()], tmp_path / "seg.dcm")
    image = read_series(tmp_path / "mr")
    assert np.array_equal(read_mask(wrapped(file, tmp_path), image.array.shape, image.affine).array > 0, lesion())


def test_a_segmentation_of_another_grid_is_refused(tmp_path: Path) -> None:
    files = series(tmp_path / "mr", pixels=PIXELS, **PERSON)
    file = segmentation(files, [lesion()], tmp_path / "seg.dcm")
    image = read_series(tmp_path / "mr")
    moved = image.affine.copy()
    moved[0, 3] += 0.5 * np.abs(moved[0, 0])
    with pytest.raises(ValueError, match=r"seg.dcm: expected frames .* image, 7 x 6 x 5, got frame 1"):
        read_mask(file, image.array.shape, moved)
    with pytest.raises(ValueError, match="expected frames on the voxels"):
        read_mask(file, (*SHAPE[:2], 3), image.affine)


AFFINE = np.array([[-1.0, 0.1, 0, 10], [0.1, 1.0, 0, -5], [0, 0, 3, 2], [0, 0, 0, 1]])


@pytest.mark.parametrize("codes", ["LAS", "RAS", "SPL", "IRP", "PSR", "ARI"])
def test_axes_in_another_order_are_turned_where_that_is_exact(tmp_path: Path, codes: str) -> None:
    image = nib.Nifti1Image(np.random.default_rng(0).random(SHAPE).astype(np.float32), AFFINE)
    nib.save(image, tmp_path / "image.nii.gz")
    mask = nib.Nifti1Image(lesion().astype(np.uint8), AFFINE)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(AFFINE), nib.orientations.axcodes2ornt(tuple(codes))
    )
    nib.save(mask.as_reoriented(turn), tmp_path / "mask.nii.gz")
    found = LoadSeriesd(["image", "label"])({"image": tmp_path / "image.nii.gz", "label": tmp_path / "mask.nii.gz"})
    assert np.array_equal(found["label"][0].numpy(), lesion())
    CheckVolumed()(found)


def test_masks_on_another_grid_stay_as_they_are_and_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random(SHAPE), AFFINE), tmp_path / "image.nii.gz")
    moved = AFFINE.copy()
    moved[2, 3] += 1.5
    nib.save(nib.Nifti1Image(lesion().astype(np.uint8), moved), tmp_path / "mask.nii.gz")
    found = LoadSeriesd(["image", "label"])({"image": tmp_path / "image.nii.gz", "label": tmp_path / "mask.nii.gz"})
    with pytest.raises(ValueError, match="expected affines within"):
        CheckVolumed()(found)
    assert turns_onto(SHAPE, moved, SHAPE, AFFINE) is None
