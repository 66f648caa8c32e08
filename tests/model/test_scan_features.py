"""What a scan is: the same whatever the order of storage, and nothing of a header that could be a name."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from qfae_monai.model import scan_features
from qfae_monai.model.scan_features import NOT_STATED, ScanFeatures, features_of, same_modality, volume_features
from qfae_monai.reading import Series, read_series
from qfae_monai.reading.background import evenly_taken
from tests.reading.dicom_factory import SAGITTAL, series

ARRAY = np.random.default_rng(0).random((20, 24, 6)) * 900 + 1
AXIAL = np.diag([-1.0, -1.0, 4.0, 1.0])


def turned(degrees: float) -> np.ndarray:
    """An axial stack tilted about the left-right axis."""
    angle = np.radians(degrees)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return affine @ AXIAL


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_features_do_not_depend_on_the_order_of_storage(order: tuple[int, int, int]) -> None:
    affine = AXIAL[:, [*order, 3]]
    assert volume_features(ARRAY.transpose(order), affine) == volume_features(ARRAY, AXIAL)


@pytest.mark.parametrize(
    ("degrees", "plane"), [(0, "axial"), (20, "axial"), (-40, "oblique"), (45, "oblique"), (80, "coronal")]
)
def test_a_tilted_stack_keeps_its_plane_until_it_is_oblique(degrees: float, plane: str) -> None:
    assert volume_features(ARRAY, turned(degrees)).plane == plane


def test_round_off_of_an_affine_is_no_other_spacing() -> None:
    assert volume_features(ARRAY, turned(7)).spacing == (1.0, 1.0, 4.0)


def test_the_plane_of_acquisition_counts_where_it_is_known_and_the_longest_voxels_otherwise() -> None:
    thin = np.diag([3.0, 1.0, 1.0, 1.0])
    assert volume_features(ARRAY, thin).plane == "sagittal"
    assert volume_features(ARRAY, thin, as_acquired=True).plane == "axial"
    assert volume_features(ARRAY, np.eye(4)).plane == "axial"
    assert volume_features(ARRAY, np.diag([1.0, 1.0, 0.6, 1.0])).slices == 6


def test_a_dicom_series_has_its_modality_plane_and_spacing(tmp_path: Path) -> None:
    pixels = (ARRAY.transpose(2, 1, 0)).astype(np.int16)
    found = features_of(read_series(series(tmp_path, pixels, orientation=SAGITTAL, Modality="MR")))
    assert (found.kind, found.modality, found.plane, found.slices) == ("volume", "MR", "sagittal", 6)
    assert found.spacing is not None
    assert len(found.spacing) == 3


@pytest.mark.parametrize(
    ("stated", "name", "modality"),
    [
        ("MR", "Doe_T1w.nii.gz", "MR"),  # the header counts more than the name
        ("DOE^JANE", "a.dcm", NOT_STATED),
        ("", "sub-01_ses-2_T1w.nii.gz", "T1w"),
        ("", "BraTS2021_00001_flair.nii", "FLAIR"),
        ("", "CT.nrrd", "CT"),
        ("", "Doe_Jane.nii.gz", NOT_STATED),
        ("", "flair.dcm", NOT_STATED),
    ],
)
def test_modality_is_a_known_word_or_not_stated(stated: str, name: str, modality: str) -> None:
    read = Series(ARRAY, AXIAL, (Path(name),), attributes={"kind": "NIfTI", "modality": stated})
    assert features_of(read).modality == modality


def test_a_contrast_is_one_of_its_modality_only() -> None:
    assert same_modality("T1ce", "MR")
    assert same_modality("MR", "FLAIR")
    assert not same_modality("T1w", "T1ce")
    assert not same_modality("PT", "MR")


def test_spacing_that_was_made_up_is_not_known() -> None:
    read = Series(ARRAY, AXIAL, (Path("a.dcm"),), risks=("no-spacing: 1 mm is used",), attributes={"kind": "DICOM"})
    assert features_of(read).spacing is None


def test_an_image_has_rows_and_columns_and_no_plane(tmp_path: Path) -> None:
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)).save(tmp_path / "Doe.png")
    found = features_of(tmp_path / "Doe.png")
    assert found.intensity == pytest.approx((3.99, 596.01))
    assert replace(found, intensity=None) == ScanFeatures("image", NOT_STATED, None, (20, 30), None, 1, None)
    one = volume_features(ARRAY[..., :1], np.diag([0.2, 0.3, 1, 1]))
    assert (one.kind, one.size, one.spacing) == ("image", (24, 20), (0.3, 0.2))


@pytest.mark.parametrize("values", [np.zeros((4, 4, 4)), np.full((4, 4, 4), np.nan), np.array([[[-1.7e308, 1.7e308]]])])
def test_without_a_range_there_is_none(values: np.ndarray) -> None:
    assert volume_features(np.concatenate([values, values], axis=2), np.eye(4)).intensity is None


@pytest.mark.parametrize("order", ["C", "F"])
def test_intensities_of_a_large_volume_come_from_all_its_columns(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    monkeypatch.setattr(scan_features, "evenly_taken", partial(evenly_taken, most=400))
    ramp = np.arange(40.0)[:, None, None] + np.zeros((40, 40, 40))
    for axis in range(3):
        low, high = volume_features(np.asarray(np.moveaxis(ramp, 0, axis), order=order), AXIAL).intensity or (0, 0)  # type: ignore[call-overload]
        assert low <= 3
        assert high >= 36


def test_nothing_but_numbers_and_known_words(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ARRAY.astype(np.float32), AXIAL)
    image.header["descrip"] = b"Doe Jane"
    nib.save(image, tmp_path / "Doe_Jane.nii.gz")
    found = features_of(read_series(tmp_path / "Doe_Jane.nii.gz"))
    assert "Doe" not in str([getattr(found, field.name) for field in fields(found)])
