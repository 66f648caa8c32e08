"""Whose slices are these: patients, studies and frames of reference apart; copies, damage and the rest are told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from qfae_monai.reading import contents_of, read_series
from qfae_monai.reading.left_aside import CLASS, KINDS
from tests.reading import dicom_factory as factory

FIRST: dict[str, Any] = {"PatientID": "one", "StudyInstanceUID": "1.2.1", "FrameOfReferenceUID": "1.2.1.1"}
OTHERS = [{"PatientID": "two"}, {"StudyInstanceUID": "1.2.9"}, {"FrameOfReferenceUID": "1.2.9.1"}]


@pytest.mark.parametrize("other", OTHERS, ids=["patient", "study", "frame"])
@pytest.mark.parametrize("start", [30.0, 31.25, 42.5], ids=["coincide", "interleave", "abut"])
def test_slices_of_others_are_never_one_volume(tmp_path: Path, other: dict[str, Any], start: float) -> None:
    factory.series(tmp_path / "a", **FIRST)
    factory.series(tmp_path / "b", factory.volume() + 7, origin=(10, 20, start), **{**FIRST, **other})
    found = contents_of(tmp_path).series
    assert [summary.shape for summary in found] == [(3, 4, 5), (3, 4, 5)]
    assert all("its series UID is also that of slices of other" in one.attributes["notes"][0] for one in found)
    assert np.array_equal(read_series(list(found[1].files)).array, factory.volume().T + 7)
    with pytest.raises(ValueError, match="expected one series"):
        read_series(tmp_path)
    with pytest.raises(ValueError, match="expected one series"):  # no permission makes one volume of two patients
        read_series(tmp_path, allow=["mixed-series"])


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "FrameOfReferenceUID"])
def test_what_some_slices_leave_empty_tells_nobody_apart(tmp_path: Path, keyword: str) -> None:
    values = {**FIRST, keyword: [FIRST[keyword], "", FIRST[keyword], "", FIRST[keyword]], "PatientName": ""}
    factory.series(tmp_path, shuffle=False, **values)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, factory.volume().T)
    assert "is empty in some files" in found.attributes["notes"][0]


def test_a_frame_of_reference_for_each_slice_is_refused(tmp_path: Path) -> None:
    factory.series(tmp_path, FrameOfReferenceUID=[f"1.2.{number}" for number in range(5)])
    (summary,) = contents_of(tmp_path).series
    assert "frames-of-reference" in str(summary.refusal)


def test_identical_copies_are_dropped_and_others_are_not(tmp_path: Path) -> None:
    paths = factory.series(tmp_path / "a", shuffle=False)
    (tmp_path / "b").mkdir()
    for path in paths:
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    recoded = pydicom.dcmread(paths[0])  # the same object in another transfer syntax
    factory.write(tmp_path / "c.dcm", recoded, factory.IMPLICIT)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, factory.volume().T)
    assert "6 identical copies left out" in found.attributes["notes"]
    assert [one.kind for one in contents_of(tmp_path).aside] == ["copy"] * 6
    changed = pydicom.dcmread(paths[0])
    changed.PixelData = bytes(len(changed.PixelData))
    factory.write(tmp_path / "d.dcm", changed)
    with pytest.raises(ValueError, match="duplicate-position"):
        read_series(tmp_path)


@pytest.mark.parametrize(
    "element",
    [{"RescaleIntercept": -1024}, {"PhotometricInterpretation": "MONOCHROME1"}, {"PixelSpacing": [1, 1]}],
    ids=lambda element: next(iter(element)),
)
def test_the_same_pixels_with_other_values_or_another_size_are_no_copy(tmp_path: Path, element: dict[str, Any]) -> None:
    for path in factory.series(tmp_path / "a"):
        changed = pydicom.dcmread(path)
        for keyword, value in element.items():
            setattr(changed, keyword, value)
        factory.write(tmp_path / "b" / path.name, changed)
    with pytest.raises(ValueError, match=r"duplicate-position|mixed-size"):
        read_series(tmp_path)


@pytest.mark.parametrize("name", ["1.2.826.0.1.{}", "MR.1.2.{}", "IM{}", "{}.dcm", "{}.scan", "{}.nii"])
def test_content_tells_dicom_whatever_its_name(tmp_path: Path, name: str) -> None:
    for number, path in enumerate(factory.series(tmp_path / "made")):
        dataset = pydicom.dcmread(path)
        bare = pydicom.Dataset({element.tag: element for element in dataset})
        target = tmp_path / "in" / name.format(number)
        target.parent.mkdir(exist_ok=True)
        if name.endswith(".nii"):  # with its prefix
            target.write_bytes(path.read_bytes())
        else:
            with target.open("wb") as stream:
                pydicom.filewriter.write_dataset(_buffer(stream), bare)
    (tmp_path / "in" / "notes").write_bytes(b"\x08\0 is how some texts begin, for all that is known" * 9)
    assert np.array_equal(read_series(tmp_path / "in").array, factory.volume().T)
    assert [one.kind for one in contents_of(tmp_path / "in").aside] == ["no image"]


def _buffer(stream: Any) -> Any:
    found = pydicom.filebase.DicomFileLike(stream)
    found.is_implicit_VR, found.is_little_endian = True, True
    return found


ASIDE: dict[str, dict[str, Any]] = {
    "localiser": {"ImageType": "ORIGINAL\\PRIMARY\\LOCALIZER"},
    "secondary-capture": {"SOPClassUID": f"{CLASS}7"},
    "segmentation": {"SOPClassUID": f"{CLASS}66.4", "Modality": "SEG"},
    "parametric-map": {"SOPClassUID": f"{CLASS}30"},
    "dose": {"SOPClassUID": f"{CLASS}481.2", "Modality": "RTDOSE"},
    "own-result": {"ManufacturerModelName": "QFAE for MONAI"},
}
WITHOUT_PIXELS = {
    "report": f"{CLASS}88.33",
    "key-object": f"{CLASS}88.59",
    "presentation-state": f"{CLASS}11.1",
    "radiotherapy": f"{CLASS}481.3",
    "raw-data": f"{CLASS}66",
    "document": f"{CLASS}104.1",
    "registration": f"{CLASS}66.1",
}


@pytest.mark.parametrize("kind", ASIDE)
def test_what_is_no_scan_is_left_aside_unless_included(tmp_path: Path, kind: str) -> None:
    factory.series(tmp_path, SeriesNumber=1)
    other: dict[str, Any] = {"SeriesInstanceUID": "1.2.3", "SeriesNumber": 2, **ASIDE[kind]}
    paths = factory.series(tmp_path / "other", factory.volume() + 7, **other)
    found = contents_of(tmp_path)
    assert [summary.number for summary in found.series] == [1]
    ((one),) = found.aside
    assert (one.kind, one.files) == (kind, 5)
    assert f"--include {kind}" in one.reason
    assert np.array_equal(read_series(tmp_path).array, factory.volume().T)
    assert [one.number for one in contents_of(tmp_path, include=[kind]).series] == [1, 2]
    assert read_series(paths[0]).array.shape == (3, 4, 1)  # named, and so meant


@pytest.mark.parametrize("kind", WITHOUT_PIXELS)
def test_objects_without_pixels_are_left_aside_with_their_kind(tmp_path: Path, kind: str) -> None:
    factory.series(tmp_path)
    dataset = factory.image(factory.volume()[0], SOPClassUID=WITHOUT_PIXELS[kind])
    for keyword in ("PixelData", "Rows", "Columns"):
        del dataset[keyword]
    factory.write(tmp_path / "other", dataset)
    assert [(one.kind, one.reason) for one in contents_of(tmp_path).aside] == [(kind, KINDS[kind])]


def test_one_slice_is_no_volume_and_a_radiograph_is_an_image(tmp_path: Path) -> None:
    factory.series(tmp_path / "a")
    factory.series(tmp_path / "b", factory.volume()[:1], SeriesInstanceUID="1.2.3")
    for number in range(2):  # two views in one series
        radiograph = factory.image(factory.volume()[0], Modality="DX", SeriesInstanceUID="1.2.4")
        factory.write(tmp_path / f"{number}", radiograph)
    found = contents_of(tmp_path)
    assert [one.picture for one in found.series] == [True, True, False]
    assert [one.kind for one in found.aside] == ["single-slice"]
    (named,) = contents_of(found.aside[0].path).series
    assert "expected a volume of several slices, got one slice" in str(named.refusal)


def cut_in_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"MONOCHROME2")])


def cut_in_pixels(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [cut_in_header, cut_in_pixels, emptied])
def test_a_damaged_last_file_belongs_to_its_series(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    last = factory.series(tmp_path, shuffle=False)[-1]
    factory.series(tmp_path / "b", SeriesInstanceUID="1.2.3")
    spoil(last)
    refused, accepted = contents_of(tmp_path).series
    assert "1 of the 5 files of the series damaged" in str(refused.refusal)
    assert last.name in str(refused.refusal)
    assert last in refused.files
    assert accepted.refusal is None
    with pytest.raises(ValueError, match=last.name):
        read_series(tmp_path / last.name)


@pytest.mark.parametrize("spoil", [cut_in_header, cut_in_pixels, emptied])
def test_a_damaged_radiograph_costs_no_other_one(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    for number in range(2):
        factory.write(tmp_path / f"IM{number}", factory.image(factory.volume()[0], Modality="DX"))
    spoil(tmp_path / "IM1")
    whole, damaged = contents_of(tmp_path).series
    assert whole.refusal is None
    assert damaged.files == (tmp_path / "IM1",)
    assert damaged.refusal is not None


def test_one_slice_with_a_frame_of_its_own_is_told_with_the_rest(tmp_path: Path) -> None:
    factory.series(tmp_path, FrameOfReferenceUID=[*["1.2.1"] * 4, "1.2.9"])
    found = contents_of(tmp_path)
    assert [one.kind for one in found.aside] == ["single-slice"]
    assert "slices of other frames of reference" in found.series[0].attributes["notes"][0]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_that_lead_nowhere_and_files_of_file_managers_are_counted(tmp_path: Path) -> None:
    factory.series(tmp_path)
    (tmp_path / "a.nii.gz").symlink_to("../.git/annex/objects/x/y.nii.gz")
    (tmp_path / "b.dcm").symlink_to("nowhere")
    for name in ("._000.dcm", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    found = contents_of(tmp_path)
    assert len(found.series) == 1
    assert [one.kind for one in found.aside] == ["hidden file"] * 2 + ["hidden file", "dead link", "dead link"]
    assert "git annex get" in next(one.reason for one in found.aside if one.path.name == "a.nii.gz")


def test_bytes_behind_pixels_are_noted_and_a_frame_more_is_refused(tmp_path: Path) -> None:
    pixels = factory.volume()
    factory.series(tmp_path / "a", PixelData=[plane.tobytes() + bytes(10) for plane in pixels])
    found = read_series(tmp_path / "a")
    assert np.array_equal(found.array, pixels.T)
    assert found.attributes["notes"] == ("5 files have bytes behind their pixels, which are left out",)
    factory.series(tmp_path / "b", PixelData=[plane.tobytes() * 2 for plane in pixels])
    with pytest.raises(ValueError, match="expected 24 bytes of pixels"):
        read_series(tmp_path / "b")


@pytest.mark.parametrize("folder", ["a$b", "$name", "back\\slash", "sp ace", "ü"])
def test_names_of_folders_do_not_matter(tmp_path: Path, folder: str) -> None:
    if os.name == "nt" and "\\" in folder:
        pytest.skip("no name there")
    factory.series(tmp_path / folder)
    assert read_series(tmp_path / folder).array.shape == (3, 4, 5)


def test_results_of_this_software_beside_scans(tmp_path: Path) -> None:
    factory.series(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.json").write_text('{"study": "a", "kind": "NIfTI", "input_sha256": "0"}')
    for name in ("image.nii.gz", "mask.nii.gz", "overlay.png"):
        (tmp_path / "out" / name).write_bytes(b"")
    found = contents_of(tmp_path)
    assert (len(found.series), found.pictures) == (1, ())
    assert sum(one.kind == "own-result" for one in found.aside) == 4
