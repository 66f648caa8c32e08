"""The series reader: values and geometry of synthetic series whose truth is known, and what is refused."""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from qfae_monai.data import find_series, read_series
from tests.data import dicom_factory as factory

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def true_affine(orientation: Any, step: Any, origin: Any = (10.0, 20.0, 30.0), spacing: Any = (0.7, 0.9)) -> np.ndarray:
    """Index (column, row, slice) to RAS+ by the formula of DICOM PS3.3 C.7.6.2.1.1."""
    affine = np.eye(4)
    affine[:3, 0] = np.array(orientation[:3]) * spacing[1]
    affine[:3, 1] = np.array(orientation[3:]) * spacing[0]
    affine[:3, 2], affine[:3, 3] = step, origin
    return LPS @ affine


def oblique() -> tuple[float, ...]:
    """Axial, turned by 20 degrees about x and then 10 degrees about z."""
    a, b = np.radians([20, 10])
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return tuple(np.concatenate([(turn_z @ turn_x)[:, 0], (turn_z @ turn_x)[:, 1]]).tolist())


DIRECTIONS = [factory.AXIAL, factory.SAGITTAL, oblique(), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)]


@pytest.mark.parametrize("orientation", DIRECTIONS, ids=["axial", "sagittal", "oblique", "mirrored"])
def test_slices_are_sorted_by_position_whatever_their_number(tmp_path: Path, orientation: Any) -> None:
    factory.series(tmp_path, orientation=orientation)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, factory.volume().T)
    normal = np.cross(orientation[:3], orientation[3:])
    assert np.allclose(found.affine, true_affine(orientation, 2.5 * normal), atol=1e-5)
    assert found.affine.dtype == np.float64
    assert (found.risks, found.padding, len(found.files)) == ((), None, 5)


def test_files_are_in_slice_order(tmp_path: Path) -> None:
    paths = factory.series(tmp_path)
    assert read_series(tmp_path).files == tuple(paths)
    assert read_series(list(reversed(paths))).files == tuple(paths)


SYNTAXES = [factory.EXPLICIT, factory.IMPLICIT, factory.BIG, factory.DEFLATED]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8", "int32", "uint32"])
def test_stored_types_are_kept(tmp_path: Path, syntax: str, dtype: str) -> None:
    pixels = factory.volume(dtype=dtype) if dtype != "uint8" else (factory.volume() % 251).astype(np.uint8)
    if dtype.startswith("int"):
        pixels = pixels - 200
    stored = pixels.astype(pixels.dtype.newbyteorder(">")) if syntax == factory.BIG else pixels
    factory.series(tmp_path, stored, syntax=syntax)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, pixels.T)
    assert found.array.dtype == np.dtype(dtype)
    assert (found.attributes["bits_stored"], found.attributes["signed"]) == (pixels.itemsize * 8, dtype[0] == "i")


def test_twelve_signed_bits_are_extended_and_overlays_in_the_rest_are_not_values(tmp_path: Path) -> None:
    pixels = factory.volume() - 200
    stored = (pixels & 0x0FFF) | 0x5000  # an overlay's bits above the value
    factory.series(tmp_path, stored.astype(np.int16), BitsStored=12, HighBit=11)
    assert np.array_equal(read_series(tmp_path).array, pixels.T)


def test_rescaling_is_applied_slice_by_slice(tmp_path: Path) -> None:
    slopes, intercepts = [1.5, 2.0, 2.5, 3.0, 0.5], [-10.0, 0.0, 1.0, 5.0, 7.0]
    factory.series(tmp_path, RescaleSlope=slopes, RescaleIntercept=intercepts)
    expected = factory.volume() * np.reshape(slopes, (5, 1, 1)) + np.reshape(intercepts, (5, 1, 1))
    assert np.allclose(read_series(tmp_path).array, expected.T)


def test_hounsfield_units_stay_integers(tmp_path: Path) -> None:
    factory.series(tmp_path, factory.volume(dtype=np.uint16), RescaleSlope=1, RescaleIntercept=-1024)
    found = read_series(tmp_path)
    assert found.array.dtype == np.int16
    assert np.array_equal(found.array, factory.volume().T - 1024)


MONOCHROME1: list[list[Any]] = [["uint16", 12, 4095], ["int16", 16, -1], ["uint8", 8, 255]]


@pytest.mark.parametrize(("dtype", "bits", "ends"), MONOCHROME1)
def test_monochrome1_is_inverted_within_its_bits(tmp_path: Path, dtype: str, bits: int, ends: int) -> None:
    pixels = (factory.volume() % 200).astype(dtype)
    factory.series(tmp_path, pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=bits, HighBit=bits - 1)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, (ends - pixels.astype(int)).T)
    assert found.attributes["photometric_interpretation"] == "MONOCHROME1"


def test_padding_takes_the_minimum_of_the_rest(tmp_path: Path) -> None:
    pixels = factory.volume()
    pixels[:, 0, 0] = -2000
    factory.series(tmp_path, pixels, PixelPaddingValue=-2000, RescaleSlope=1, RescaleIntercept=-1000)
    found = read_series(tmp_path)
    assert found.padding is not None
    assert found.padding.sum() == 5
    assert found.padding[0, 0].all()
    assert (found.array[0, 0] == 1 - 1000).all()
    assert np.array_equal(found.array[1:], pixels.T[1:] - 1000)


def test_padding_range_and_inversion(tmp_path: Path) -> None:
    pixels = factory.volume(dtype=np.uint16) + 100
    pixels[0, 0] = [65535, 65000, 65200]
    factory.series(
        tmp_path,
        pixels,
        PhotometricInterpretation="MONOCHROME1",
        PixelPaddingValue=65535,
        PixelPaddingRangeLimit=65100,
    )
    found = read_series(tmp_path)
    assert found.padding is not None
    assert [tuple(at) for at in np.argwhere(found.padding)] == [(0, 0, 0), (2, 0, 0)]
    assert int(found.array.min()) == int(found.array[0, 0, 0]) == 535  # 65535 - 65000


def test_tilted_gantry_gives_a_sheared_affine(tmp_path: Path) -> None:
    a = np.radians(18.5)
    tilted = (1.0, 0.0, 0.0, 0.0, float(np.cos(a)), float(-np.sin(a)))
    factory.series(tmp_path, orientation=tilted, direction=(0, 0, 1), gaps=2.5)
    found = read_series(tmp_path)
    assert np.allclose(found.affine, true_affine(tilted, (0, 0, 2.5)), atol=1e-5)
    assert "sheared by 18.5 degrees" in found.attributes["notes"][0]
    assert np.array_equal(found.array, factory.volume().T)


def test_colour_becomes_luminance_with_a_warning(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (4, 3, 3), dtype=np.uint8)
    dataset = factory.image(rgb[..., 0], PixelData=rgb.tobytes() + b"", SamplesPerPixel=3, PlanarConfiguration=0)
    dataset.PhotometricInterpretation = "RGB"
    factory.write(tmp_path / "a.dcm", dataset)
    with pytest.warns(UserWarning, match=r"a\.dcm: colour \(RGB\) reduced to luminance"):
        found = read_series(tmp_path)
    assert np.array_equal(found.array[..., 0].T, np.rint(rgb @ [0.299, 0.587, 0.114]))


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
    assert np.allclose(found.affine, true_affine(factory.AXIAL, (0, 0, 2.5)))


def test_enhanced_time_points_are_told_from_positions(tmp_path: Path) -> None:
    order, times = [0, 0, 1, 1, 2, 2], [2, 1, 2, 1, 2, 1]
    pixels = factory.volume((6, 4, 3), np.uint16)
    dimensions = [(place + 1, time) for place, time in zip(order, times, strict=True)]
    path = factory.enhanced(tmp_path / "a.dcm", pixels, enhanced_positions(order), dimensions=dimensions)
    with pytest.raises(ValueError, match=r"a\.dcm: .*3 positions x 2 time points.*dimension index.*time_point"):
        read_series(path)
    assert np.array_equal(read_series(path, time_point=0).array, pixels[1::2].T)
    assert np.array_equal(read_series(path, time_point=1).array, pixels[::2].T)
    with pytest.raises(ValueError, match="time_point 0 to 1, got 2"):
        read_series(path, time_point=2)


def time_series(folder: Path, **elements: Any) -> np.ndarray:
    """15 positions x 10 time points in one series."""
    pixels = factory.volume((15, 4, 3))
    for time in range(10):
        factory.series(folder / str(time), pixels + 2000 * time, AcquisitionTime=f"1200{time:02d}", **elements)
    return pixels


def test_time_points_are_told_from_positions(tmp_path: Path) -> None:
    pixels = time_series(tmp_path)
    with pytest.raises(ValueError, match=r"15 positions x 10 time points.*AcquisitionTime.*time_point"):
        read_series(tmp_path)
    found = read_series(tmp_path, time_point=3)
    assert np.array_equal(found.array, pixels.T + 6000)
    assert found.attributes["volumes"] == 10


def missing(folder: Path) -> None:
    factory.series(folder, shuffle=False, skip=[2])


def duplicate(folder: Path) -> None:
    factory.series(folder, shuffle=False, gaps=[2.5, 0, 2.5, 2.5])


def copied(folder: Path) -> None:
    for path in factory.series(folder, shuffle=False):
        path.with_suffix(".copy").write_bytes(path.read_bytes())


def varying(folder: Path) -> None:
    factory.series(folder, shuffle=False, gaps=[2.5, 2.5, 3.5, 2.5])


def turned(folder: Path) -> None:
    a = np.radians(1)
    other = [1.0, 0.0, 0.0, 0.0, float(np.cos(a)), float(np.sin(a))]
    axes = [list(factory.AXIAL)] * 4 + [other]
    factory.series(folder, shuffle=False, ImageOrientationPatient=axes)


def localiser(folder: Path) -> None:
    factory.series(folder, shuffle=False)
    factory.series(folder / "scout", factory.volume()[:1], orientation=factory.SAGITTAL)


def without_position(folder: Path) -> None:
    factory.series(folder, shuffle=False)
    factory.write(folder / "screen.dcm", factory.image(factory.volume()[0]))


def sizes(folder: Path) -> None:
    factory.series(folder, shuffle=False)
    factory.series(folder / "b", factory.volume((1, 6, 3)), origin=(10, 20, 42.5))


def spacings(folder: Path) -> None:
    factory.series(folder, shuffle=False, PixelSpacing=[[0.7, 0.9]] * 4 + [[0.8, 0.9]])


def shifted(folder: Path) -> None:
    places = [[10.0, 20.0, 30.0], [10.0, 20.0, 32.5], [10.0, 24.0, 35.0], [10.0, 20.0, 37.5], [10.0, 20.0, 40.0]]
    factory.series(folder, shuffle=False, ImagePositionPatient=places)


def two_series(folder: Path) -> None:
    factory.series(folder, shuffle=False, SeriesNumber=3, SeriesDescription="first")
    elements: dict[str, Any] = {"SeriesInstanceUID": "1.2.3.4", "SeriesNumber": 4}
    factory.series(folder / "b", factory.volume() + 7, origin=(10, 20, 42.5), **elements)


def no_positions(folder: Path) -> None:
    for index, pixels in enumerate(factory.volume()):
        dataset = factory.image(pixels, InstanceNumber=5 - index, PixelSpacing=[0.7, 0.9], SliceThickness=2.0)
        factory.write(folder / f"{index}.dcm", dataset)


def no_spacing(folder: Path) -> None:
    factory.series(folder, shuffle=False, PixelSpacing=None)


REFUSED: list[list[Any]] = [
    [missing, "missing-slice", r"1 slices missing: gap of 5\.00 mm between 001\.dcm and 003\.dcm, expected 2\.50 mm"],
    [duplicate, "duplicate-position", r"001\.dcm, 002\.dcm all at 32\.50 mm"],
    [copied, "duplicate-position", r"000\.copy, 000\.dcm all at 30\.00 mm along the normal, and 4 more positions"],
    [varying, "varying-spacing", r"from 2\.50 mm \(000\.dcm to 001\.dcm\) to 3\.50 mm \(002\.dcm to 003\.dcm\)"],
    [turned, "varying-orientation", r"004\.dcm turned by up to 1\.00 degrees against 000\.dcm"],
    [localiser, "localiser", r"000\.dcm turned by up to 90\.0 degrees against 000\.dcm"],
    [without_position, "localiser", r"screen\.dcm without a position among 5 slices"],
    [sizes, "mixed-size", r"4 x 3 and 6 x 3 \(rows x columns\) in one series: 000\.dcm differ"],
    [spacings, "mixed-size", r"0\.7 x 0\.9 mm and 0\.8 x 0\.9 mm in one series: 004\.dcm differ"],
    [shifted, "shifted-slices", r"002\.dcm lies 4\.00 mm beside the line"],
    [two_series, "mixed-series", r"got 2: number 3, 'first', 5 files.*number 4"],
    [no_positions, "no-position", r"5 images without ImagePositionPatient"],
    [no_spacing, "no-spacing", r"000\.dcm has a position but no PixelSpacing"],
]


@pytest.mark.parametrize(("spoil", "risk", "message"), REFUSED, ids=[case[0].__name__ for case in REFUSED])
def test_risk_is_refused_by_name_and_written_down_where_allowed(
    tmp_path: Path, spoil: Any, risk: str, message: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message) as refusal:
        read_series(tmp_path)
    assert risk in str(refusal.value)
    assert str(tmp_path) in str(refusal.value)
    found = read_series(tmp_path, allow=[risk])
    assert risk in " ".join(found.risks)
    assert found.array.shape[:2] == (3, 4)


def test_missing_slice_is_filled_and_marked(tmp_path: Path) -> None:
    missing(tmp_path)
    found = read_series(tmp_path, allow=["missing-slice"])
    assert found.array.shape == (3, 4, 5)
    assert found.padding is not None
    assert found.padding.all(axis=(0, 1)).tolist() == [False, False, True, False, False]
    assert np.allclose(found.affine, true_affine(factory.AXIAL, (0, 0, 2.5)))
    kept = [0, 1, 3, 4]
    assert np.array_equal(found.array[..., kept], factory.volume().T[..., kept])
    assert (found.array[..., 2] == 0).all()


def test_varying_spacing_gives_the_mean(tmp_path: Path) -> None:
    varying(tmp_path)
    found = read_series(tmp_path, allow=["varying-spacing"])
    assert found.affine[2, 2] == pytest.approx(11 / 4)
    assert "up to 0.50 mm off their place" in found.risks[0]


def test_duplicate_keeps_the_first_by_number(tmp_path: Path) -> None:
    duplicate(tmp_path)
    assert np.array_equal(read_series(tmp_path, allow=["duplicate-position"]).array, factory.volume()[[0, 1, 3, 4]].T)


def test_images_without_position_are_stacked_by_number(tmp_path: Path) -> None:
    no_positions(tmp_path)
    found = read_series(tmp_path, allow=["no-position"])
    assert np.array_equal(found.array, factory.volume()[::-1].T)
    assert np.abs(np.linalg.norm(found.affine[:3, :3], axis=0) - [0.9, 0.7, 2.0]).max() < 1e-9


def test_series_is_chosen_by_uid_number_or_description(tmp_path: Path) -> None:
    two_series(tmp_path)
    for name in (factory.SERIES, 3, "3", "first"):
        assert np.array_equal(read_series(tmp_path, series=name).array, factory.volume().T)
    assert np.array_equal(read_series(tmp_path, series=4).array, factory.volume().T + 7)
    with pytest.raises(ValueError, match=r"expected one series named 'third', got 0 of 2: number 3"):
        read_series(tmp_path, series="third")


def test_unknown_risk_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'missing-slice'.*got \['everything'\]"):
        read_series(tmp_path, allow=["everything"])


def test_archive_reads_as_its_folder_does(tmp_path: Path) -> None:
    paths = factory.series(tmp_path / "series")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, f"../escape/{path.name}")
    found = read_series(tmp_path / "a.zip")
    assert np.array_equal(found.array, factory.volume().T)
    assert found.files[0] == tmp_path / "a.zip" / "../escape" / paths[0].name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "series"]


def test_archive_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("zeros.dcm", bytes(80 << 20))
    with pytest.raises(ValueError, match=r"a\.zip.*would grow from .* to 83886080 bytes"):
        read_series(tmp_path / "a.zip")


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(array, affine), path)


def write_itk(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    picture = sitk.GetImageFromArray(array.T)
    picture.SetSpacing(spacing.tolist())
    picture.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    picture.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(picture, str(path))


VOLUMES: list[list[Any]] = [
    ["a.nii", write_nifti],
    ["a.nii.gz", write_nifti],
    ["a.nrrd", write_itk],
    ["a.mha", write_itk],
    ["a.mhd", write_itk],
]


@pytest.mark.parametrize(("name", "write"), VOLUMES)
def test_volume_files_give_values_and_affine(tmp_path: Path, name: str, write: Any) -> None:
    affine = true_affine(oblique(), np.cross(oblique()[:3], oblique()[3:]) * 2.5)
    array = np.ascontiguousarray(factory.volume().T)
    write(tmp_path / name, array, affine)
    found = read_series(tmp_path / name)
    assert np.array_equal(found.array, array)
    assert found.array.dtype == np.int16
    assert np.allclose(found.affine, affine, atol=1e-4)
    assert found.files == (tmp_path / name,)


def test_nifti_of_several_time_points(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((3, 4, 5, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match=r"a\.nii\.gz: expected one volume, got 2 time points"):
        read_series(tmp_path / "a.nii.gz")
    assert np.array_equal(read_series(tmp_path / "a.nii.gz", time_point=1).array, array[..., 1])


def test_nifti_scaling_is_applied(tmp_path: Path) -> None:
    nifti = nib.Nifti1Image(np.ascontiguousarray(factory.volume().T), np.eye(4))
    nifti.header.set_slope_inter(0.5, 3)
    (tmp_path / "a.nii").write_bytes(nifti.to_bytes())
    loaded: Any = nib.load(tmp_path / "a.nii")
    assert np.allclose(read_series(tmp_path / "a.nii").array, loaded.get_fdata())


def flipped(data: bytearray) -> None:
    data[-30] ^= 0xFF


def cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


@pytest.mark.parametrize("damage", [flipped, cut])
def test_damaged_nifti_is_refused_by_name(tmp_path: Path, damage: Any) -> None:
    write_nifti(tmp_path / "a.nii.gz", np.random.default_rng(0).random((9, 9, 9)), np.eye(4))
    data = bytearray((tmp_path / "a.nii.gz").read_bytes())
    damage(data)
    (tmp_path / "a.nii.gz").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.nii\.gz: expected a NIfTI file, got a damaged one"):
        read_series(tmp_path / "a.nii.gz")


def test_nifti_header_that_declares_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    nifti = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    data = bytearray(nifti.to_bytes())
    data[42:48] = np.array([20000, 20000, 20000], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.nii: .*declares 16000000000352"):
        read_series(tmp_path / "a.nii")


AXES = [b"99999999999999999999", b"65535", b"11", b"-1", b"0", b"", b"3\nNDims = 99"]


@pytest.mark.parametrize("axes", AXES)
def test_metaimage_of_too_many_axes_is_refused(tmp_path: Path, axes: bytes) -> None:
    header = (
        b"ObjectType = Image\nNDims = %s\nDimSize = 1 1 1\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n" % axes
    )
    (tmp_path / "a.mha").write_bytes(header + b"\0")
    with pytest.raises(ValueError, match=r"a\.mha: .*NDims 2 to 4 expected once"):  # ITK dies of the first
        read_series(tmp_path / "a.mha")


def contradiction(**elements: Any) -> Any:
    def spoil(path: Path) -> None:
        factory.write(path, factory.image(factory.volume()[0], **elements))

    return spoil


def text_file(path: Path) -> None:
    path.write_text("no image\n" * 40)


def report(path: Path) -> None:
    dataset = factory.image(factory.volume()[0], SOPClassUID=factory.REPORT)
    for keyword in ("Rows", "Columns", "PixelData", "BitsAllocated"):
        delattr(dataset, keyword)
    factory.write(path, dataset)


def truncated(path: Path) -> None:
    factory.write(path, factory.image(factory.volume()[0]))
    path.write_bytes(path.read_bytes()[:-5])


def unknown_syntax(path: Path) -> None:
    dataset = factory.image(factory.volume()[0])
    factory.write(path, dataset, "1.2.840.10008.1.2.1")
    data = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    path.write_bytes(data)


DAMAGED: list[list[Any]] = [
    [contradiction(Rows=400), "expected 2400 bytes of pixels for 1 x 400 x 3 x 1 of 16 bits, got 24"],
    [contradiction(Columns=1), "expected 8 bytes of pixels"],
    [contradiction(NumberOfFrames=3), "expected 72 bytes of pixels"],
    [contradiction(NumberOfFrames=-3), "expected NumberOfFrames 1 to"],
    [contradiction(Rows=0), "expected Rows 1 to 65535, got 0"],
    [contradiction(BitsAllocated=12), "expected BitsAllocated 1 or 8 or 16 or 32, got 12"],
    [contradiction(BitsStored=17), "expected BitsStored 1 to 16, got 17"],
    [contradiction(SamplesPerPixel=2), "expected SamplesPerPixel 1 or 3, got 2"],
    [contradiction(Rows=65535, Columns=65535), "expected 8589672450 bytes"],
    [contradiction(RescaleSlope=0), "expected a rescale slope other than 0"],
    [contradiction(PixelSpacing=[0.7, -0.9]), "expected a PixelSpacing above 0 mm"],
    [contradiction(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "expected two orthogonal unit vectors"],
    [contradiction(ImagePositionPatient=[1, 2]), "expected 3 finite numbers in ImagePositionPatient"],
    [text_file, "expected a DICOM, NIfTI, NRRD or MetaImage file, got none of them"],
    [report, "expected an image, got Basic Text SR Storage without pixel data"],
    [truncated, "truncated, expected 24 bytes of pixels, got 19"],
    [unknown_syntax, r"1\.2\.840\.10008\.1\.2\.9"],
]


@pytest.mark.parametrize(("spoil", "message"), DAMAGED)
def test_damaged_file_is_refused_by_name(tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(tmp_path / "bad.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=rf"bad\.dcm: .*{message}"):
            read_series(tmp_path / "bad.dcm")


def test_what_is_no_image_is_left_aside_in_a_folder(tmp_path: Path) -> None:
    factory.series(tmp_path)
    report(tmp_path / "report.dcm")
    text_file(tmp_path / "readme.txt")
    assert np.array_equal(read_series(tmp_path).array, factory.volume().T)


def test_damaged_slice_is_not_left_aside(tmp_path: Path) -> None:
    truncated(factory.series(tmp_path)[2])
    with pytest.raises(ValueError, match="truncated"):
        read_series(tmp_path)


@pytest.mark.parametrize("name", ["none.dcm", "none", "none.zip"])
def test_missing_source(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        read_series(tmp_path / name)


def test_found_series_say_what_would_be_refused(tmp_path: Path) -> None:
    two_series(tmp_path)
    missing(tmp_path / "c")
    factory.write(tmp_path / "d.dcm", factory.image(factory.volume()[0], Rows=0, SeriesInstanceUID="1.2.9"))
    write_nifti(tmp_path / "e.nii", factory.volume().T, np.eye(4))
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
        found = read_series(path, time_point=volume)
        assert np.allclose(found.array, np.stack([values.T for _, values in own], axis=-1), rtol=1e-5, atol=1e-3)
        ends = found.affine @ np.array([[0, 0, 0, 1], [0, 0, count - 1, 1]]).T
        assert np.allclose(ends[2], [own[0][0], own[-1][0]], atol=1e-3)


def test_summary_is_plain_data(tmp_path: Path) -> None:
    factory.series(tmp_path)
    summary = find_series(tmp_path)[0]
    assert json.dumps({key: summary.attributes[key] for key in ("modality", "bits_stored", "notes", "signed")})


def test_two_pixels_in_each_big_endian_word_come_out_in_order(tmp_path: Path) -> None:
    pixels = (factory.volume((1, 4, 4)) % 251).astype(np.uint8)
    swapped = pixels.view(np.uint16).byteswap().view(np.uint8)
    path = factory.write(tmp_path / "a.dcm", factory.image(swapped[0]), factory.BIG)
    data = path.read_bytes()
    assert data.count(b"\x7f\xe0\x00\x10OB") == 1
    path.write_bytes(data.replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW"))
    assert np.array_equal(read_series(path).array[..., 0].T, pixels[0])


def test_pixel_spacing_of_zeros_is_an_unknown_one(tmp_path: Path) -> None:
    factory.write(tmp_path / "a.dcm", factory.image(factory.volume()[0], PixelSpacing=[0, 0]))
    found = read_series(tmp_path / "a.dcm")
    assert "pixel spacing not known: 1 mm" in found.attributes["notes"]
    assert np.array_equal(np.abs(np.diag(found.affine)), [1, 1, 1, 1])


def test_stored_luminance_is_taken_as_it_is(tmp_path: Path) -> None:
    luminance = np.arange(8, dtype=np.uint8).reshape(2, 4)
    pairs = np.concatenate([luminance.reshape(2, 2, 2), np.full((2, 2, 2), 128, np.uint8)], axis=-1)  # Y1 Y2 Cb Cr
    dataset = factory.image(luminance, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422")
    dataset.PixelData, dataset.PlanarConfiguration = pairs.tobytes(), 0
    factory.write(tmp_path / "a.dcm", dataset)
    with pytest.warns(UserWarning, match="luminance"):
        assert np.array_equal(read_series(tmp_path / "a.dcm").array[..., 0].T, luminance)


def encapsulated(frame: bytes) -> bytes:
    """One frame behind an empty offset table."""
    frame += b"\0" * (len(frame) % 2)
    return (
        b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0"
        + len(frame).to_bytes(4, "little")
        + frame
        + b"\xfe\xff\xdd\xe0"
        + bytes(4)
    )


def write_compressed(path: Path, pixels: np.ndarray, frame: bytes, syntax: str) -> Path:
    dataset = factory.image(pixels)
    dataset.PixelData = encapsulated(frame)
    dataset["PixelData"].is_undefined_length = True
    return factory.write(path, dataset, syntax)


def test_run_length_encoding(tmp_path: Path) -> None:
    pixels = (factory.volume((1, 4, 4)) % 251).astype(np.uint8)
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64  # one segment behind the header
    literal = bytes([15]) + pixels.tobytes()  # 16 bytes as they are
    path = write_compressed(tmp_path / "a.dcm", pixels[0], header.tobytes() + literal, factory.RLE)
    assert np.array_equal(read_series(path).array[..., 0].T, pixels[0])
    # a segment that ends in the middle of a run must be an error, not a panic of the decoder
    path = write_compressed(tmp_path / "b.dcm", pixels[0], header.tobytes() + literal[:5], factory.RLE)
    with pytest.raises(ValueError, match=r"b\.dcm: .*RLE Lossless \(1\.2\.840\.10008\.1\.2\.5\)"):
        read_series(path)


def test_codec_of_another_size_than_the_header_is_refused(tmp_path: Path) -> None:
    frame = bytes.fromhex("ffd8ffc0000b08ffffffff0101110000ffd9")  # a JPEG header of 65535 x 65535
    path = write_compressed(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8), frame, "1.2.840.10008.1.2.4.50")
    with pytest.raises(ValueError, match=r"a\.dcm: damaged JPEG Baseline.*\(4, 4, 1\), got \(65535, 65535, 1\)"):
        read_series(path)
