"""Whose result it is: the source's own patient and study, or nobody's, and what says that it is for research."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from qfae_monai import __version__
from qfae_monai.predict.dicom_identity import identity_of
from tests.predict.dicom.conftest import CT, IDENTITY, MODEL, MR, assert_valid, pixels
from tests.reading import dicom_factory as factory

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

STUDY = "1.2.826.0.1.3680043.8.498.2"
KEY = b"k" * 32
KEPT = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "ReferringPhysicianName",
]
# too short, or words of the standard, that a search of bytes would find by chance
NOT_IDENTIFYING = ("PatientSex", "PositionReferenceIndicator")


def source_of(folder: Path, **elements: Any) -> list[Path]:
    """A series that says all that a scanner may say, private elements and nested ones included."""
    paths = factory.series(folder, pixels(), **{**MR, **elements})
    for path in paths:
        dataset = pydicom.dcmread(path)
        block = dataset.private_block(0x0011, "VENDOR PRIVATE", create=True)
        block.add_new(1, "LO", "Private-Secret")
        request = Dataset()
        request.RequestedProcedureDescription, request.RequestedProcedureID = "Nested procedure words", "NESTED-ID-5"
        dataset.RequestAttributesSequence = [request]
        dataset.save_as(path)
    return paths


def identifying(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """Each word of the source that must not be found in an anonymous object."""
    for keyword, value in IDENTITY.items():
        if keyword not in NOT_IDENTIFYING and value:
            yield from ((keyword, part) for part in str(value).split("^"))
    yield from {"private": "Private-Secret", "nested": "Nested procedure", "nested id": "NESTED-ID-5"}.items()
    yield from {"study": STUDY, "series": factory.SERIES, "creator": "VENDOR PRIVATE"}.items()
    yield from ((path.name, str(pydicom.dcmread(path).SOPInstanceUID)) for path in paths)


def test_the_patient_and_study_are_the_source_s(tmp_path: Path, write: Any) -> None:
    source_of(tmp_path / "in")
    *_, folder = write(tmp_path / "in")
    files = sorted(folder.iterdir())
    names = ["key_image_1", "key_image_2", "key_image_3", "parametric_map", "segmentation"]
    assert [path.name for path in files] == [f"{name}.dcm" for name in names]
    for path in files:
        dataset = pydicom.dcmread(path)
        assert {keyword: str(dataset[keyword].value) for keyword in KEPT} == {key: IDENTITY[key] for key in KEPT}
        assert dataset.StudyInstanceUID == STUDY
        assert dataset.SeriesInstanceUID != factory.SERIES
        content = path.read_bytes()
        for word in ("Private-Secret", "SERIAL-31337", "Saint Elsewhere", "Performing", "Private series words"):
            assert word.encode() not in content


def test_nothing_of_the_source_is_in_an_anonymous_object(tmp_path: Path, write: Any) -> None:
    words = list(identifying(source_of(tmp_path / "in")))
    held = {name for name, word in words if any(word.encode() in p.read_bytes() for p in (tmp_path / "in").iterdir())}
    assert held == {name for name, _ in words}  # the search finds each of them in the source
    *_, folder = write(tmp_path / "in", anonymous=True)
    for path in folder.iterdir():
        content = path.read_bytes().lower()
        assert [name for name, word in words if word.lower().encode() in content] == []
    assert_valid(folder)


def test_an_anonymous_object_says_so_and_holds_no_date(tmp_path: Path, write: Any) -> None:
    source_of(tmp_path / "in")
    *_, folder = write(tmp_path / "in", anonymous=True)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        assert dataset.PatientIdentityRemoved == "YES"
        assert "UIDs and patient ID replaced by HMAC-SHA256 with a secret key" in dataset.DeidentificationMethod
        dates = {str(e.value) for e in dataset.iterall() if e.VR in ("DA", "TM", "DT") and e.value}
        assert dates == {"19000101", "000000"}
        assert not any(element.tag.is_private for element in dataset.iterall())
        for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "ReferringPhysicianName"):
            assert not dataset[keyword].value


def uids_of(folder: Path) -> dict[str, list[str]]:
    dataset = pydicom.dcmread(folder / "parametric_map.dcm")
    (listed,) = dataset.ReferencedSeriesSequence
    return {
        "patient": [dataset.PatientID],
        "study": [dataset.StudyInstanceUID],
        "place": [dataset.FrameOfReferenceUID],
        "series": [listed.SeriesInstanceUID],
        "instances": [item.ReferencedSOPInstanceUID for item in listed.ReferencedInstanceSequence],
    }


def test_pseudonyms_depend_on_the_key_alone(tmp_path: Path, write: Any) -> None:
    source_of(tmp_path / "in")
    found = [uids_of(write(tmp_path / "in", anonymous=True, key=key)[3]) for key in (KEY, KEY, b"l" * 32, None, None)]
    assert found[0] == found[1]
    for name in found[0]:
        words = [tuple(uids[name]) for uids in found[1:]]
        assert len(set(words)) == 4, name
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in found[0]["instances"])
    assert len(set(found[0]["instances"])) == 5


def test_the_objects_of_one_study_agree(tmp_path: Path, write: Any) -> None:
    source_of(tmp_path / "in")
    *_, folder = write(tmp_path / "in", anonymous=True)
    datasets = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert len({(dataset.StudyInstanceUID, dataset.PatientID) for dataset in datasets}) == 1
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == 5
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 3
    named = {item.ReferencedSOPInstanceUID for dataset in datasets[:3] for item in dataset.SourceImageSequence}
    assert named < set(uids_of(folder)["instances"])


def test_each_object_says_what_made_it_and_for_what(tmp_path: Path, write: Any) -> None:
    source_of(tmp_path / "in")
    *_, folder = write(tmp_path / "in", region="head", pixel_threshold=0.7)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        assert (dataset.Manufacturer, dataset.SoftwareVersions) == ("QFAE for MONAI", __version__)
        assert dataset.DeviceSerialNumber == MODEL.checkpoint_sha256
        assert "Research use, not for diagnosis" in dataset.SeriesDescription
        said = str(dataset)
        assert f"checkpoint SHA-256 {MODEL.checkpoint_sha256}. Research use, not for diagnosis." in said
    mask, values = (pydicom.dcmread(folder / f"{name}.dcm") for name in ("segmentation", "parametric_map"))
    assert mask.ContentLabel == values.ContentLabel == "RESEARCH_USE"
    assert "Research use, not for diagnosis" in mask.ContentDescription
    assert values.ContentQualification == "RESEARCH"
    (segment,) = mask.SegmentSequence
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("QFAE for MONAI", __version__)
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
    parameters = f"checkpoint_sha256={MODEL.checkpoint_sha256},pixel_threshold=0.7"
    assert "".join(algorithm.AlgorithmParameters) == parameters
    assert segment.AnatomicRegionSequence[0].CodeMeaning == "Head"
    shared = values.SharedFunctionalGroupsSequence[0]
    assert shared.FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeMeaning == "Head"


@pytest.mark.parametrize(
    ("region", "meaning", "recognizable"),
    [(None, "Entire body", "YES"), ("chest", "Chest", "NO"), ("Head", "Head", "YES")],
)
def test_region(tmp_path: Path, write: Any, region: Any, meaning: str, recognizable: str) -> None:
    factory.series(tmp_path / "in", pixels(), **CT)
    *_, folder = write(tmp_path / "in", region=region)
    mask, values = (pydicom.dcmread(folder / f"{name}.dcm") for name in ("segmentation", "parametric_map"))
    assert mask.SegmentSequence[0].AnatomicRegionSequence[0].CodeMeaning == meaning
    assert values.RecognizableVisualFeatures == recognizable


def test_values_the_standard_does_not_allow_become_empty(tmp_path: Path, write: Any) -> None:
    paths = factory.series(
        tmp_path / "in", pixels(), **{**MR, "PatientName": "Müller^Jörg", "SpecificCharacterSet": "ISO_IR 100"}
    )
    for path in paths:  # as scanners and de-identifiers write them
        content = path.read_bytes()
        path.write_bytes(
            content.replace(b"19610102", b"0000    ").replace(
                b"\x10\x00\x40\x00CS\x02\x00F ", b"\x10\x00\x40\x00CS\x02\x00X "
            )
        )
    *_, folder = write(tmp_path / "in")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        assert str(dataset.PatientName) == "Müller^Jörg"
        assert (dataset.PatientBirthDate, dataset.PatientSex) == ("", "")
    assert_valid(folder)


INVALID: list[list[Any]] = [
    ["PatientAge", "***"],
    ["PatientAge", "61"],
    ["AccessionNumber", "A" * 17],
    ["StudyID", "S" * 17],
    ["PatientID", "I" * 65],
    ["StudyDescription", "d" * 65],
    ["PatientBirthDate", "0000"],
    ["StudyTime", "25:00"],
    ["PatientSex", "female"],
    ["DeidentificationMethod", ""],
    ["DeidentificationMethod", []],
]


@pytest.mark.parametrize(("keyword", "value"), INVALID)
def test_values_that_the_standard_does_not_allow_are_empty(keyword: str, value: Any) -> None:
    header = Dataset()
    header.StudyInstanceUID = STUDY
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        setattr(header, keyword, value)
        found = identity_of(header)
    assert not found.get(keyword)
    assert found.StudyInstanceUID == STUDY
