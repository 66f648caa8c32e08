"""Stand-ins of the data sets: their layouts, file names and labels, with small images."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

AFFINE = np.diag([-2.0, -3.0, 5.0, 1.0])
IDENTIFIERS = {
    "PatientName": "Doe^Johanna",
    "PatientID": "MRN-4711-0815",
    "PatientBirthDate": "19610317",
    "InstitutionName": "St. Elsewhere Hospital",
    "ReferringPhysicianName": "Quincy^Medical",
    "AccessionNumber": "ACC778899",
    "StationName": "SCANNERROOM9",
}


def nifti(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def texture(shape: tuple[int, ...], seed: int, top: int = 1000) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, top, shape).astype(np.int16)


def brats(folder: Path, tumour: Sequence[Sequence[int]], shape: tuple[int, int, int] = (6, 5, 100)) -> Path:
    """One patient a list: the slices that hold tumour."""
    for number, slices in enumerate(tumour):
        case = f"BraTS2021_{number:05d}"
        label = np.zeros(shape, np.uint8)
        label[2, 3, list(slices)] = 4
        nifti(folder / case / f"{case}_flair.nii.gz", texture(shape, number))
        nifti(folder / case / f"{case}_seg.nii.gz", label)
    return folder


def livers(folder: Path, btcv: int, lits: int) -> Path:
    """Livers of 14 x 10 pixels in slices 1 to 4 of 6; the even ones of LiTS have a lesion in slices 2 and 3."""
    shape = (24, 20, 6)
    for number in range(btcv + lits):
        hu = texture(shape, number, 600) - 300
        label = np.zeros(shape, np.uint8)
        label[4:18, 6:16, 1:5] = 6 if number < btcv else 1
        if number < btcv:
            label[0:2, 0:2, :] = 1  # another organ
            nifti(folder / "BTCV" / "img" / f"img{number:04d}.nii.gz", hu)
            nifti(folder / "BTCV" / "label" / f"label{number:04d}.nii.gz", label)
        else:
            if (number - btcv) % 2 == 0:
                label[8:11, 9:12, 2:4] = 2
            nifti(folder / "LiTS" / f"volume-{number - btcv}.nii", hu)
            nifti(folder / "LiTS" / f"segmentation-{number - btcv}.nii", label)
    return folder


def resc(folder: Path, train: int, validation: int, scans: int = 8) -> Path:
    """Cubes of B-scans; the odd ones have a lesion."""
    for name, cubes in (("Edema_trainingset", train), ("Edema_validationset", validation)):
        for number in range(cubes):
            cube = f"P{'T' if 'training' in name else 'V'}{number:03d}_MacularCube512x128_4-24-2013_9-32-13_OD_cube_z"
            for scan in range(1, scans + 1):
                image = texture((32, 16), len(name) * 10000 + 100 * number + scan, 255).astype(np.uint8)
                label = np.zeros((32, 16), np.uint8)
                label[10:14, 5:9] = 191 if scan % 2 else 0
                for kind, pixels in ((f"original_images/{cube}.img", image), (f"label_images/{cube}_labelMark", label)):
                    path = folder / name / kind / f"{scan}.bmp"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(path), pixels)
    return folder


def rsna(folder: Path, normal: int, opacity: int, other: int) -> Path:
    """Radiographs of 12 x 10 pixels; the mapping gives two images a person."""
    kinds = ["Normal"] * normal + ["Lung Opacity"] * opacity + ["No Lung Opacity / Not Normal"] * other
    names = [f"{number:08x}-rsna" for number in range(len(kinds))]
    (folder / "stage_2_train_images").mkdir(parents=True)
    with (folder / "stage_2_train_labels.csv").open("w", newline="") as labels:
        writer = csv.writer(labels)
        writer.writerow(["patientId", "x", "y", "width", "height", "Target"])
        for name, kind in zip(names, kinds, strict=True):
            boxes = [[1, 2, 3, 4], [5, 5, 2, 2]] if kind == "Lung Opacity" else [["", "", "", ""]]
            writer.writerows([name, *box, int(kind == "Lung Opacity")] for box in boxes)
    with (folder / "stage_2_detailed_class_info.csv").open("w", newline="") as classes:
        writer = csv.writer(classes)
        writer.writerow(["patientId", "class"])
        for name, kind in zip(names, kinds, strict=True):
            writer.writerows([[name, kind]] * (2 if kind == "Lung Opacity" else 1))
    for number, name in enumerate(names):
        pixels = texture((12, 10), number, 255).astype(np.uint8)
        dicom(folder / "stage_2_train_images" / f"{name}.dcm", pixels, PatientID=name, PatientName=name, position=None)
    mapping = [
        {"subset_img_id": name, "img_id": f"{number // 2:08d}_{number % 2:03d}.png"}
        for number, name in enumerate(names)
    ]
    (folder / "mapping.json").write_text(json.dumps(mapping))
    return folder


def dicom(path: Path, pixels: np.ndarray, *, position: float | None = 0.0, **elements: Any) -> Path:
    """One slice at ``position`` mm along z; pixels (rows, columns) of 8 or 16 bits unsigned."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    bits = 8 * pixels.dtype.itemsize
    values = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "Modality": "MR",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "PixelSpacing": [2.0, 3.0],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": pixels.tobytes(),
        **elements,
    }
    if position is not None:
        values |= {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [10.0, 20.0, position]}
    for name, value in values.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def dicom_study(folder: Path, *, slices: int = 6, leave_out: tuple[int, ...] = (), **elements: Any) -> Path:
    """A series of one identifiable patient, and the lesion (slices 2 and 3) as a second series on its grid."""
    image_uid, mask_uid = generate_uid(), generate_uid()
    for index in range(slices):
        pixels = texture((12, 10), index).astype(np.uint16)
        mask = np.zeros((12, 10), np.uint16)
        mask[4:7, 5:8] = index in (2, 3)
        for name, series, values in (("FLAIR", image_uid, pixels), ("ROI", mask_uid, mask)):
            if index not in leave_out:
                dicom(
                    folder / name / f"Johanna-{index}.dcm",
                    values,
                    position=5.0 * index,
                    SeriesInstanceUID=series,
                    InstanceNumber=index + 1,
                    **{**IDENTIFIERS, "SeriesDescription": name, **elements},
                )
    return folder
