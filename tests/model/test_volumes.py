"""Several volumes of one series are scans of one patient and visit, each with a case and slices of its own."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.data import check_patient_disjoint, input_datalist, volume_datalist
from qfae_monai.data.fingerprint import source_fingerprint
from qfae_monai.model.fingerprint import fingerprint_of_files
from qfae_monai.model.runs import Data, _not_trained_on
from qfae_monai.model.scans import look
from qfae_monai.model.split import Split, split, write_datalist
from qfae_monai.reading import LoadSeriesd
from qfae_monai.recipes.discovery import datalist_sources, tree_sources
from tests.model.made_up import mask, volume
from tests.reading import dicom_factory as factory


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A 4D NIfTI of three volumes, a DICOM series of two echoes, a NIfTI of one volume."""
    folder = tmp_path / "scans"
    folder.mkdir()
    values = np.random.default_rng(1).integers(0, 900, (6, 5, 4, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 3.0, 1.0])), folder / "bold.nii.gz")
    for echo in (1, 2):
        factory.series(
            folder / "echoes" / str(echo),
            factory.volume() + 1000 * echo,
            shuffle=False,
            EchoNumbers=echo,
            Modality="MR",
            PatientID="p7",
            InstanceNumber=[5 * echo + n for n in range(5)],
        )
    volume(folder / "one.nii.gz", 3)
    return folder


@pytest.mark.parametrize(
    ("choice", "volumes"), [("first", [1, 1, None]), (2, [2, 2, None]), ("all", [1, 2, 3, 1, 2, None])]
)
def test_a_choice_is_for_series_that_have_several(mixed: Path, choice: str | int, volumes: list[int | None]) -> None:
    found = look(mixed, volume=choice)
    assert [scan.volume for scan in found.scans] == volumes
    assert len({scan.patient for scan in found.scans}) == 3


def test_what_is_not_chosen_is_left_aside_in_words(mixed: Path) -> None:
    found = look(mixed)
    assert [scan.path.name for scan in found.scans] == ["one.nii.gz"]
    reasons = " ".join(one.reason for one in found.left_aside)
    assert "volume 1 of 3; volume 2 of 3; volume 3 of 3" in reasons
    assert "echo 2 of 2" in reasons


def test_volumes_of_one_scan_are_never_on_two_sides(mixed: Path) -> None:
    parted = split(look(mixed, volume="all"))
    sides = [{scan.patient for scan in scans} for scans in parted.sections().values()]
    assert sum(map(len, sides)) == 3


def test_written_lists_carry_the_volume_and_cases_differ(mixed: Path, tmp_path: Path) -> None:
    scans = look(mixed, volume="all").scans
    listed = write_datalist(Split(scans, (), ()), tmp_path, key=b"k" * 32)
    entries = volume_datalist(listed, "training")
    assert len({entry["case"] for entry in entries}) == len(entries) == 6
    assert len({source_fingerprint(entry) for entry in entries}) == 6  # slices are stored apart
    images = [LoadSeriesd("image")({"image": one["image"], "volume": one.get("volume")})["image"] for one in entries]
    assert len({image.numpy().tobytes() for image in images}) == 6
    check_patient_disjoint(listed)
    assert fingerprint_of_files(entries).scans == 6
    again = look(listed)
    assert [scan.volume for scan in again.scans] == [scan.volume for scan in scans]


def test_a_choice_stands_for_entries_of_a_list_that_make_none(mixed: Path, tmp_path: Path) -> None:
    entries = [
        {"image": str(mixed / "bold.nii.gz"), "image_label": 0, "patient": "a"},
        {"image": str(mixed / "echoes"), "image_label": 0, "volume": 2},
    ]
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps({"training": entries}))
    found = look(listed, volume="all")
    assert [(scan.patient, scan.volume) for scan in found.scans] == [("a", 1), ("a", 2), ("a", 3), ("p7", 2)]
    assert [source.volume for source in datalist_sources(listed, volume="first")] == ["first", 2]


def test_a_mask_is_of_all_volumes_of_its_scan(mixed: Path, tmp_path: Path) -> None:
    mask(tmp_path / "masks" / "bold.nii.gz", lesion=True)
    found = look(mixed, masks=tmp_path / "masks", volume="all")
    assert [scan.label for scan in found.scans if scan.path.name == "bold.nii.gz"] == ["abnormal"] * 3


def test_another_volume_of_a_training_scan_is_known_to_the_model(mixed: Path, tmp_path: Path) -> None:
    first = look(mixed, volume="first").scans
    (tmp_path / "training").mkdir()
    write_datalist(Split(first, (), ()), tmp_path / "training", key=b"k" * 32)
    kept, notes = _not_trained_on(tmp_path, look(mixed, volume=2).scans)
    assert not kept
    assert notes == ["left aside, trained on: 3 of 3 scans"]


def test_every_entrance_knows_the_choice(mixed: Path) -> None:
    assert len(Data(mixed, volume="all").look().scans) == 6
    entries = input_datalist(mixed, volume="all")
    assert [entry.get("volume") for entry in entries] == [1, 2, 3, 1, 2, None]
    assert len({entry["case"] for entry in entries}) == 6
    sources = tree_sources(mixed, normal=True, volume="all")
    assert len({(source.name, source.volume) for source in sources}) == 6


def test_what_was_taken_in_stays_so_in_the_list(tmp_path: Path) -> None:
    factory.series(tmp_path / "scans" / "a", Modality="MR", ImageType="ORIGINAL\\PRIMARY\\LOCALIZER")
    volume(tmp_path / "scans" / "b.nii.gz", 1)
    assert len(look(tmp_path / "scans").scans) == 1
    found = look(tmp_path / "scans", include=["localiser"])
    assert [scan.include for scan in found.scans] == [("localiser",), ()]
    listed = write_datalist(Split(found.scans, (), ()), tmp_path, key=b"k" * 32)
    for entry in volume_datalist(listed, "training"):
        LoadSeriesd("image")({"image": entry["image"], "include": entry.get("include", ())})
    listed.write_text(json.dumps({"training": [{"image": "scans/b.nii.gz", "include": "localiser"}]}))
    with pytest.raises(ValueError, match="entry 1: include: expected in include the kinds"):
        volume_datalist(listed, "training")
