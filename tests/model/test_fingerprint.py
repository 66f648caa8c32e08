"""Counts and ranges of training scans: whole on disk, strict when read, and what of another scan lies outside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from qfae_monai.model.fingerprint import ScanFingerprint, Spread, fingerprint_of_files
from qfae_monai.model.scan_features import NOT_STATED, ScanFeatures, features_of
from qfae_monai.reading import read_series
from tests.reading.dicom_factory import series

SCAN = ScanFeatures("volume", "MR", (0.5, 0.5, 5.0), (256, 256, 24), "axial", 24, (20.0, 900.0))
TRAINED = ScanFingerprint.of([SCAN, replace(SCAN, spacing=(0.6, 0.6, 4.0), intensity=(10.0, 1200.0))], patients=2)
PICTURE = ScanFeatures("image", NOT_STATED, None, (512, 512), None, 1, (3.0, 250.0))


def volume(path: Path, shape: tuple[int, int, int] = (16, 16, 8)) -> Path:
    values: Any = np.random.default_rng(0).random(shape, np.float32) * 100
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


def test_counts_and_ranges() -> None:
    assert TRAINED.modalities == {"MR": 2}
    assert TRAINED.planes == {"axial": 2}
    assert (TRAINED.scans, TRAINED.looked_at, TRAINED.patients) == (2, 2, 2)
    assert TRAINED.spacing == (Spread(0.5, 0.55, 0.6), Spread(0.5, 0.55, 0.6), Spread(4.0, 4.5, 5.0))
    assert TRAINED.slices == Spread(24, 24, 24)
    assert TRAINED.intensity_width == Spread(880.0, 1035.0, 1190.0)


@pytest.mark.parametrize("scans", [[], [SCAN, PICTURE]])
def test_scans_of_one_kind_are_expected(scans: list[ScanFeatures]) -> None:
    with pytest.raises(ValueError, match=r"expected training scans of one kind, volumes or images, got (none|1 vol)"):
        ScanFingerprint.of(scans)


@pytest.mark.parametrize("made", [TRAINED, ScanFingerprint.of([PICTURE], scans=700, unreadable=1)])
def test_it_comes_back_as_it_was_saved(made: ScanFingerprint, tmp_path: Path) -> None:
    made.save(tmp_path / "fingerprint.json")
    read = ScanFingerprint.read(tmp_path / "fingerprint.json")
    assert read == made
    assert read.sha256 == made.sha256 != replace(made, scans=9).sha256


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "expected a fingerprint of training scans of version 1, got 2 "),
        ({"version": None}, "of version 1, got None"),
        ({"patient": "Doe"}, "got also 'patient'"),
        ({"modalities": {"Doe": 1}}, "modalities: expected the keys .*, got also 'Doe'"),
        ({"planes": {"axial": "$1"}}, "planes.axial: expected a whole number"),
        ({"scans": 0}, "scans: expected a whole number from 1"),
        ({"kind": "image"}, "spacing: expected 2 axes of images, got 3|size: expected 2 axes"),
        ({"slices": {"least": 3, "median": 2, "most": 4}}, "slices: expected least, median and most in ascending"),
        ({"field_of_view": None}, "expected spacing and field_of_view, or neither, got one of them"),
        ({"slices": {"least": 3}}, "slices: expected the keys least, median, most, missing median, most"),
        ({"intensity_low": None}, "intensity_low, intensity_high and intensity_width, or none, got some"),
    ],
)
def test_what_is_no_fingerprint_is_refused_by_file_and_key(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "fingerprint.json"
    TRAINED.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=said) as refusal:
        ScanFingerprint.read(path)
    assert str(refusal.value).startswith(str(path))
    assert "\n" not in str(refusal.value)


def test_a_scan_like_the_training_scans_is_inside() -> None:
    assert TRAINED.outside(SCAN, slice_axis=2, slice_range=(3, 20)) == []
    assert TRAINED.outside(replace(SCAN, modality="T1w", spacing=(0.7, 0.4, 6.0), intensity=(30.0, 2500.0))) == []
    assert TRAINED.outside(replace(SCAN, modality=NOT_STATED, spacing=None, intensity=None)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"size": (600, 256, 24)},
            "the field of view is 300 mm left to right: that of the training scans is 128 to 154 mm",
        ),
        ({"modality": "CT"}, "the modality is CT: that of the training scans is MR"),
        ({"plane": "coronal"}, "the slices are coronal: those of the training scans are axial"),
        (
            {"spacing": (1.0, 0.5, 1.25), "size": (140, 256, 24)},
            "the spacing is 1 mm left to right and 1.25 mm foot to head: that of the training scans is 0.5 to 0.6 mm "
            "and 4 to 5 mm",
        ),
        ({"slices": 300, "size": (256, 256, 300)}, "there are 300 slices: the training scans have 24"),
        (
            {"intensity": (0.0, 250.0)},
            "the foreground's intensities are 0 to 250 in the unit of the file: those of the training scans are 15 to "
            "1050 in the unit of the file (median)",
        ),
    ],
)
def test_each_thing_outside_is_one_sentence_with_both_numbers(changes: dict[str, Any], said: str) -> None:
    assert TRAINED.outside(replace(SCAN, **changes)) == [said]


@pytest.mark.parametrize(
    ("slices", "said"),
    [
        (300, ["slices 3 to 20 of 300 are scored: the training scans have 24"]),
        (25, ["slices 3 to 20 of 25 are scored: the training scans have 24"]),
        (10, ["slices 3 to 9 of 10 are scored: the training scans have 24"]),
        (3, ["none of 3 slices is scored, but slices 3 to 20 are: the training scans have 24"]),
        (24, []),
    ],
)
def test_a_range_of_slices_means_something_in_a_stack_of_their_number_only(slices: int, said: list[str]) -> None:
    scan = replace(SCAN, slices=slices, size=(256, 256, slices))
    assert TRAINED.outside(scan, slice_axis=2, slice_range=(3, 20)) == said


def test_slices_count_along_the_axis_that_the_model_cuts() -> None:
    """A sagittal scan of 24 slices: the model cuts 256 axial ones out of it."""
    sagittal = replace(SCAN, spacing=(5.0, 0.5, 0.5), size=(24, 256, 256), plane="sagittal")
    said = TRAINED.outside(sagittal, slice_axis=2, slice_range=(3, 20))
    assert "slices 3 to 20 of 256 are scored: the training scans have 24" in said


def test_a_volume_of_equal_sides_has_no_plane_that_could_be_another() -> None:
    trained = ScanFingerprint.of([replace(SCAN, spacing=(1.0, 1.0, 1.0), size=(180, 220, 180), slices=180)])
    scan = replace(SCAN, spacing=(1.0, 1.0, 1.0), size=(180, 220, 180), slices=220, plane="coronal")
    assert trained.outside(scan, slice_axis=2) == []


def test_stored_values_of_a_ct_are_not_hounsfield_units() -> None:
    trained = ScanFingerprint.of([replace(SCAN, modality="CT", intensity=(-1000.0, 1500.0))])
    assert trained.outside(replace(SCAN, modality="CT", intensity=(-1000.0, 700.0))) == []
    assert trained.outside(replace(SCAN, modality="CT", intensity=(24.0, 2524.0))) == [
        "the foreground's intensities are 24 to 2524 HU: those of the training scans are -1000 to 1500 HU (median)"
    ]


def test_a_volume_against_images() -> None:
    pictures = ScanFingerprint.of([PICTURE])
    assert pictures.outside(SCAN, slice_range=(3, 20)) == ["this is a volume: the training scans are images"]
    assert TRAINED.outside(PICTURE)[0] == "this is a single image: the training scans are volumes"
    assert pictures.outside(PICTURE) == []
    assert pictures.outside(replace(PICTURE, intensity=(0.0, 65535.0)))[0].startswith("the foreground's intensities")


def test_files_of_all_kinds_are_looked_at_and_a_bad_one_is_counted(tmp_path: Path) -> None:
    pixels = (np.random.default_rng(0).random((6, 16, 16)) * 900).astype(np.int16)
    (tmp_path / "bad.nii.gz").write_bytes(b"none")
    scans: list[Any] = [series(tmp_path / "dicom", pixels), volume(tmp_path / "a_T1w.nii.gz"), tmp_path / "bad.nii.gz"]
    found = fingerprint_of_files([*scans, read_series(scans[1]), tmp_path / "no.nii"])
    assert (found.scans, found.looked_at, found.unreadable) == (5, 3, 2)
    assert found.modalities == {"CT": 1, "T1w": 2}
    Image.fromarray(pixels[0].astype(np.uint8)).save(tmp_path / "a.PNG")
    assert fingerprint_of_files([tmp_path / "a.PNG"]).kind == "image"


def test_images_among_volumes_are_not_those_trained_on(tmp_path: Path) -> None:
    scans = [volume(tmp_path / "a.nii"), volume(tmp_path / "b.nii"), volume(tmp_path / "c.nii", (16, 16, 1))]
    found = fingerprint_of_files(scans)
    assert (found.kind, found.looked_at, found.unreadable) == ("volume", 2, 1)


def test_of_many_scans_some_are_looked_at_evenly(tmp_path: Path) -> None:
    read = [read_series(volume(tmp_path / f"{number}.nii", (16, 16, number))) for number in range(2, 12)]
    found = fingerprint_of_files(read, most=4, patients=7)
    assert (found.scans, found.looked_at, found.patients) == (10, 4, 7)
    assert found.slices == Spread(2, 5.5, 9)
    assert found.outside(features_of(read[0])) == []


def test_none_that_can_be_read_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got none of 1; the first: .*no\.nii"):
        fingerprint_of_files([tmp_path / "no.nii"])
    with pytest.raises(ValueError, match="got none of 0"):
        fingerprint_of_files([])
