"""The series reader: values and geometry of synthetic series whose truth is known, and what is refused."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.reading import find_series, read_series
from tests.reading import dicom_factory as factory

DIRECTIONS = [factory.AXIAL, factory.SAGITTAL, factory.oblique(), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)]


@pytest.mark.parametrize("orientation", DIRECTIONS, ids=["axial", "sagittal", "oblique", "mirrored"])
def test_slices_are_sorted_by_position_whatever_their_number(tmp_path: Path, orientation: Any) -> None:
    factory.series(tmp_path, orientation=orientation)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, factory.volume().T)
    normal = np.cross(orientation[:3], orientation[3:])
    assert np.allclose(found.affine, factory.true_affine(orientation, 2.5 * normal), atol=1e-5)
    assert found.affine.dtype == np.float64
    assert (found.risks, found.padding, len(found.files)) == ((), None, 5)


def test_files_are_in_slice_order(tmp_path: Path) -> None:
    paths = factory.series(tmp_path)
    assert read_series(tmp_path).files == tuple(paths)
    assert read_series(list(reversed(paths))).files == tuple(paths)


def test_tilted_gantry_gives_a_sheared_affine(tmp_path: Path) -> None:
    a = np.radians(18.5)
    tilted = (1.0, 0.0, 0.0, 0.0, float(np.cos(a)), float(-np.sin(a)))
    factory.series(tmp_path, orientation=tilted, direction=(0, 0, 1), gaps=2.5)
    found = read_series(tmp_path)
    assert np.allclose(found.affine, factory.true_affine(tilted, (0, 0, 2.5)), atol=1e-5)
    assert "sheared by 18.5 degrees" in found.attributes["notes"][0]
    assert np.array_equal(found.array, factory.volume().T)


def enhanced_positions(order: list[int]) -> list[tuple[float, float, float]]:
    return [(10.0, 20.0, 30.0 + 2.5 * place) for place in order]


def test_enhanced_frames_lie_where_they_say(tmp_path: Path) -> None:
    order = [3, 0, 4, 1, 2]
    pixels = factory.volume(dtype=np.uint16)
    rescale = [(float(place + 1), -float(place)) for place in order]
    factory.enhanced(tmp_path / "a.dcm", pixels[order], enhanced_positions(order), rescale=rescale)
    found = read_series(tmp_path / "a.dcm")
    scale = np.arange(5).reshape(5, 1, 1)
    assert np.allclose(found.array, (pixels * (scale + 1) - scale).T)
    assert np.allclose(found.affine, factory.true_affine(factory.AXIAL, (0, 0, 2.5)))


def test_enhanced_time_points_are_told_from_positions(tmp_path: Path) -> None:
    order, times = [0, 0, 1, 1, 2, 2], [2, 1, 2, 1, 2, 1]
    pixels = factory.volume((6, 4, 3), np.uint16)
    dimensions = [(place + 1, time) for place, time in zip(order, times, strict=True)]
    path = factory.enhanced(tmp_path / "a.dcm", pixels, enhanced_positions(order), dimensions=dimensions)
    with pytest.raises(ValueError, match=r"a\.dcm: .*3 positions x 2 volumes.*volume 1 of 2; volume 2 of 2.*--volume"):
        read_series(path)
    assert np.array_equal(read_series(path, volume=1).array, pixels[1::2].T)
    assert np.array_equal(read_series(path, volume=2).array, pixels[::2].T)
    with pytest.raises(ValueError, match="volume 1 to 2, got 3"):
        read_series(path, volume=3)


def time_series(folder: Path, **elements: Any) -> np.ndarray:
    """15 positions x 10 time points in one series."""
    pixels = factory.volume((15, 4, 3))
    for time in range(10):
        factory.series(folder / str(time), pixels + 2000 * time, AcquisitionTime=f"1200{time:02d}", **elements)
    return pixels


def test_time_points_are_told_from_positions(tmp_path: Path) -> None:
    pixels = time_series(tmp_path)
    with pytest.raises(ValueError, match=r"15 positions x 10 volumes.*volume 10 of 10.*--volume"):
        read_series(tmp_path)
    found = read_series(tmp_path, volume=4)
    assert np.array_equal(found.array, pixels.T + 6000)
    assert found.attributes["volumes"] == 10


def test_series_is_chosen_by_uid_number_or_description(tmp_path: Path) -> None:
    factory.two_series(tmp_path)
    for name in (factory.SERIES, 3, "3", "first"):
        assert np.array_equal(read_series(tmp_path, series=name).array, factory.volume().T)
    assert np.array_equal(read_series(tmp_path, series=4).array, factory.volume().T + 7)
    with pytest.raises(ValueError, match=r"expected one series named 'third', got 0 of 2: number 3"):
        read_series(tmp_path, series="third")


def test_archive_reads_as_its_folder_does(tmp_path: Path) -> None:
    paths = factory.series(tmp_path / "series")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, f"../escape/{path.name}")
    found = read_series(tmp_path / "a.zip")
    assert np.array_equal(found.array, factory.volume().T)
    assert found.files[0] == tmp_path / "a.zip" / "escape" / paths[0].name  # below the archive, whatever it says
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "series"]


def test_archive_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("zeros.dcm", bytes(80 << 20))
    with pytest.raises(ValueError, match=r"a\.zip.*would grow from .* to 83886080 bytes"):
        read_series(tmp_path / "a.zip")


def test_found_series_say_what_would_be_refused(tmp_path: Path) -> None:
    factory.two_series(tmp_path)
    factory.missing(tmp_path / "c")
    factory.write(tmp_path / "d.dcm", factory.image(factory.volume()[0], Rows=0, SeriesInstanceUID="1.2.9"))
    nib.save(nib.Nifti1Image(np.ascontiguousarray(factory.volume().T), np.eye(4)), tmp_path / "e.nii")
    found = {summary.description or summary.number: summary for summary in find_series(tmp_path)}
    assert found["first"].refusal is not None  # its slices lie twice in the folder, once without the third
    assert found[4].shape == (3, 4, 5)
    assert found[4].refusal is None
    assert "Rows" in str(found["d.dcm"].refusal)
    assert found["e.nii"].kind == "NIfTI"


def test_burned_in_annotation_is_flagged(tmp_path: Path) -> None:
    factory.series(tmp_path / "a", BurnedInAnnotation=["NO", "NO", "YES", "NO", "NO"])
    factory.series(tmp_path / "b", BurnedInAnnotation="NO")
    factory.series(tmp_path / "c")
    flags = [read_series(tmp_path / name).attributes["burned_in_annotation"] for name in "abc"]
    assert flags == [True, False, None]


@pytest.mark.realdata
@pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA does not point at real scans")
def test_tilted_head_is_refused_with_its_gaps() -> None:
    folder = Path(os.environ["QFAE_REAL_DATA"]) / "dicom_series" / "ct_head_ge_tilted"
    with pytest.raises(ValueError, match=r"from 1\.08 mm \(14\.dcm to 15\.dcm\) to 7\.00 mm"):
        read_series(folder)
    found = read_series(folder, allow=["varying-spacing"])
    assert "18.5 degrees" in found.attributes["notes"][0]
    assert found.padding is not None
    assert found.array.min() > -1500


@pytest.mark.realdata
@pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA does not point at real scans")
def test_flair_and_its_outline_share_a_grid() -> None:
    folder = Path(os.environ["QFAE_REAL_DATA"]) / "brainix_dicom"
    image, outline = read_series(folder / "FLAIR"), read_series(folder / "ROI")
    assert image.array.shape == outline.array.shape == (288, 288, 22)
    assert np.abs(image.affine - outline.affine).max() < 1e-4
    inside, outside = image.array[outline.array > 0], image.array[(outline.array == 0) & (image.array > 100)]
    assert inside.mean() > 1.5 * outside.mean()  # the tumour is bright on FLAIR


def frames_by_hand(path: Path) -> list[tuple[float, np.ndarray]]:
    """Each frame's z and its rescaled pixels, taken from the functional groups one by one."""
    import pydicom  # noqa: PLC0415 (only the slow tests need it)

    dataset = pydicom.dcmread(path)
    frames = []
    for group, pixels in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
        transform = group.PixelValueTransformationSequence[0]
        values = pixels * float(transform.RescaleSlope) + float(transform.RescaleIntercept)
        frames.append((float(group.PlanePositionSequence[0].ImagePositionPatient[2]), values))
    return frames


@pytest.mark.realdata
@pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA does not point at real scans")
@pytest.mark.parametrize(("name", "volumes"), [("Philips/IM_0027_fMAP.dcm", 2), ("Siemens/XA10/6_3.dcm", 1)])
def test_enhanced_files_are_what_their_frames_say(name: str, volumes: int) -> None:
    path = Path(os.environ["QFAE_REAL_DATA"]) / "dicom_series" / "enhanced" / name
    frames = frames_by_hand(path)
    count = len(frames) // volumes
    for volume in range(volumes):
        own = sorted(frames[volume * count : (volume + 1) * count], key=lambda frame: frame[0])
        found = read_series(path, volume=volume + 1)
        assert np.allclose(found.array, np.stack([values.T for _, values in own], axis=-1), rtol=1e-5, atol=1e-3)
        ends = found.affine @ np.array([[0, 0, 0, 1], [0, 0, count - 1, 1]]).T
        assert np.allclose(ends[2], [own[0][0], own[-1][0]], atol=1e-3)


def test_summary_is_plain_data(tmp_path: Path) -> None:
    factory.series(tmp_path)
    summary = find_series(tmp_path)[0]
    assert json.dumps({key: summary.attributes[key] for key in ("modality", "bits_stored", "notes", "signed")})


def test_pixel_spacing_of_zeros_is_an_unknown_one(tmp_path: Path) -> None:
    factory.write(tmp_path / "a.dcm", factory.image(factory.volume()[0], PixelSpacing=[0, 0]))
    found = read_series(tmp_path / "a.dcm")
    assert "pixel spacing not known: 1 mm" in found.attributes["notes"]
    assert np.array_equal(np.abs(np.diag(found.affine)), [1, 1, 1, 1])
