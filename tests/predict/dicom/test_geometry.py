"""What is written lies where the source lies, voxel by voxel: read with pydicom, highdicom, SimpleITK, our reader."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from qfae_monai.reading import read_series
from tests.predict.dicom.conftest import CT, MR, assert_valid, pixels
from tests.reading import dicom_factory as factory

hd = pytest.importorskip("highdicom", reason="the extra dicom is not installed")

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
ORIENTATIONS = {
    "axial": factory.AXIAL,
    "sagittal": factory.SAGITTAL,
    "coronal": CORONAL,
    "oblique": factory.oblique(),
    "feet first": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
}
TILT = (1.0, 0.0, 0.0, 0.0, float(np.cos(0.3)), float(-np.sin(0.3)))
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
REAL = pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA does not point at real scans")


def frames_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (Z, rows, columns) and positions (Z, 3) with pydicom alone."""
    dataset = pydicom.dcmread(path)
    groups = dataset.PerFrameFunctionalGroupsSequence
    pixel_array = dataset.pixel_array.reshape(len(groups), dataset.Rows, dataset.Columns)
    return pixel_array, np.array([g.PlanePositionSequence[0].ImagePositionPatient for g in groups], float)


def check_pydicom(series: Any, anomaly_map: np.ndarray, mask: np.ndarray, folder: Path) -> None:
    places = np.array([(LPS @ series.affine @ [0, 0, k, 1])[:3] for k in range(series.array.shape[2])])
    for name, expected in (("parametric_map", anomaly_map), ("segmentation", mask)):
        values, positions = frames_of(folder / f"{name}.dcm")
        assert np.array_equal(values, expected.T)
        assert np.abs(positions - places).max() < 1e-3
        plane = pydicom.dcmread(folder / f"{name}.dcm").SharedFunctionalGroupsSequence[0]
        rows, columns = map(float, plane.PixelMeasuresSequence[0].PixelSpacing)
        cosines = np.array(plane.PlaneOrientationSequence[0].ImageOrientationPatient, float)
        axes = (LPS @ series.affine)[:3, :2]
        assert np.allclose(np.stack([cosines[:3] * columns, cosines[3:] * rows], axis=1), axes, atol=1e-4)


def check_highdicom(series: Any, anomaly_map: np.ndarray, mask: np.ndarray, folder: Path) -> None:
    for name, expected in (("parametric_map", anomaly_map), ("segmentation", mask)):
        if name == "segmentation":
            volume = hd.seg.segread(folder / f"{name}.dcm").get_volume(combine_segments=True)
        else:
            volume = hd.imread(folder / f"{name}.dcm").get_volume()
        # highdicom's index is slice, row, column, its first slice may be either end
        affine = volume.affine[:, [2, 1, 0, 3]]
        found = volume.array.T
        if affine[:3, 2] @ (LPS @ series.affine)[:3, 2] < 0:
            affine[:3, 3] += affine[:3, 2] * (found.shape[2] - 1)
            affine[:3, 2] *= -1
            found = found[..., ::-1]
        assert np.abs(affine - LPS @ series.affine).max() < 1e-3
        assert np.array_equal(found, expected)


def check_simpleitk(series: Any, mask: np.ndarray, folder: Path) -> None:
    """The mask alone: GDCM, which reads DICOM for SimpleITK, knows no floating-point pixels."""
    image = sitk.ReadImage(str(folder / "segmentation.dcm"))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    assert np.abs(affine - LPS @ series.affine).max() < 1e-3
    assert np.array_equal(sitk.GetArrayFromImage(image) > 0, mask.T)


def check_own_reader(series: Any, anomaly_map: np.ndarray, mask: np.ndarray, folder: Path) -> None:
    for name, expected in (("parametric_map", anomaly_map), ("segmentation", mask)):
        found = read_series(folder / f"{name}.dcm")
        assert np.abs(found.affine - series.affine).max() < 1e-3
        assert np.array_equal(found.array, expected)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=list(ORIENTATIONS))
@pytest.mark.parametrize("elements", [MR, CT], ids=["MR", "CT"])
def test_the_grid_is_the_source_s(tmp_path: Path, write: Any, elements: Any, orientation: Any) -> None:
    factory.series(tmp_path / "in", pixels(), orientation=orientation, **elements)
    series, anomaly_map, mask, folder = write(tmp_path / "in")
    check_pydicom(series, anomaly_map, mask, folder)
    check_highdicom(series, anomaly_map, mask, folder)
    check_simpleitk(series, mask, folder)
    check_own_reader(series, anomaly_map, mask, folder)
    assert_valid(folder)


def test_tilted_gantry_keeps_each_slice_in_its_place(tmp_path: Path, write: Any) -> None:
    factory.series(tmp_path / "in", pixels(), orientation=TILT, direction=(0, 0, 1), **CT)
    series, anomaly_map, mask, folder = write(tmp_path / "in")
    assert "gantry tilt" in series.attributes["notes"][0]
    check_pydicom(series, anomaly_map, mask, folder)
    check_own_reader(series, anomaly_map, mask, folder)
    assert_valid(folder)


def test_uneven_gaps_keep_each_slice_in_its_place(tmp_path: Path, write: Any) -> None:
    paths = factory.series(tmp_path / "in", pixels(), gaps=[2.5, 2.5, 3.1, 2.5], **CT)
    _, anomaly_map, _, folder = write(tmp_path / "in", allow=["varying-spacing"])
    values, positions = frames_of(folder / "parametric_map.dcm")
    assert np.array_equal(values, anomaly_map.T)
    assert np.allclose(positions, [pydicom.dcmread(path).ImagePositionPatient for path in paths], atol=1e-3)
    assert_valid(folder)


def test_one_slice(tmp_path: Path, write: Any) -> None:
    (path,) = factory.series(tmp_path / "in", pixels((1, 16, 12)), **MR)
    series, anomaly_map, mask, folder = write(path)
    check_pydicom(series, anomaly_map, mask, folder)
    assert_valid(folder)


def test_files_in_an_archive(tmp_path: Path, write: Any) -> None:
    paths = factory.series(tmp_path / "in", pixels(), **MR)
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"deep/{path.name}")
    series, anomaly_map, mask, folder = write(tmp_path / "study.zip")
    check_pydicom(series, anomaly_map, mask, folder)


def test_each_frame_names_its_source_instance(tmp_path: Path, write: Any) -> None:
    paths = factory.series(tmp_path / "in", pixels(), **MR)
    *_, folder = write(tmp_path / "in")
    uids = [str(pydicom.dcmread(path).SOPInstanceUID) for path in paths]
    for name in ("parametric_map", "segmentation"):
        dataset = pydicom.dcmread(folder / f"{name}.dcm")
        groups = dataset.PerFrameFunctionalGroupsSequence
        named = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in groups]
        assert [str(item.ReferencedSOPInstanceUID) for item in named] == uids
        assert not any("ReferencedFrameNumber" in item for item in named)
        (listed,) = dataset.ReferencedSeriesSequence
        assert listed.SeriesInstanceUID == factory.SERIES
        assert [str(item.ReferencedSOPInstanceUID) for item in listed.ReferencedInstanceSequence] == uids
        assert dataset.FrameOfReferenceUID == MR["FrameOfReferenceUID"]


@pytest.mark.parametrize("volume", [1, 2])
def test_enhanced_source_is_named_frame_by_frame(tmp_path: Path, write: Any, volume: int) -> None:
    places = [(10.0, 20.0, 30.0 + 2.5 * k) for k in (3, 0, 2, 1)]
    factory.enhanced(
        tmp_path / "in.dcm",
        pixels((8, 16, 12), np.uint16),
        [place for place in places for _ in range(2)],
        dimensions=[(k + 1, t + 1) for k in (3, 0, 2, 1) for t in range(2)],
        **{key: value for key, value in MR.items() if key not in ("SOPClassUID", "Modality")},
    )
    series, anomaly_map, mask, folder = write(tmp_path / "in.dcm", volume=volume)
    check_pydicom(series, anomaly_map, mask, folder)
    check_simpleitk(series, mask, folder)
    dataset = pydicom.dcmread(folder / "segmentation.dcm")
    groups = dataset.PerFrameFunctionalGroupsSequence
    named = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in groups]
    assert [int(item.ReferencedFrameNumber) for item in named] == [number + volume - 1 for number in (3, 7, 5, 1)]
    uid = pydicom.dcmread(tmp_path / "in.dcm").SOPInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in named} == {uid}
    assert len(dataset.SourceImageSequence) == len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 1
    assert_valid(folder)


@pytest.mark.realdata
@REAL
@pytest.mark.parametrize("name", ["FLAIR", "T1"])
@pytest.mark.parametrize("anonymous", [False, True])
def test_real_head(write: Any, name: str, anonymous: bool) -> None:
    source = Path(os.environ["QFAE_REAL_DATA"]) / "brainix_dicom" / name
    series, anomaly_map, mask, folder = write(source, region="head", anonymous=anonymous)
    check_pydicom(series, anomaly_map, mask, folder)
    check_highdicom(series, anomaly_map, mask, folder)
    check_simpleitk(series, mask, folder)
    check_own_reader(series, anomaly_map, mask, folder)
    assert_valid(folder)
    held = any(b"BRAINIX" in path.read_bytes() for path in folder.iterdir())
    assert held is not anonymous
