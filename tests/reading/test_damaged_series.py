"""What is damaged, contradictory or no image is refused by name, or left aside in a folder."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfae_monai.reading import find_series, read_series
from tests.reading import dicom_factory as factory


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


NAMES = {
    "numbers": "{:05d}.dcm",
    "no suffix": "IM{:05d}",
    "UIDs": "1.2.826.0.1.{}.7",
    "hashes": "{:08x}a{:x}",
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("size", [0, 1, 131, 132, 150, 300, -40, -1])
def test_a_truncated_file_refuses_the_series_that_it_belongs_to(
    tmp_path: Path, names: str, place: int, size: int
) -> None:
    for number, path in enumerate(factory.series(tmp_path, shuffle=False)):
        path.rename(tmp_path / names.format(number * 977 + 1, number))
    file = sorted(tmp_path.iterdir())[place]
    file.write_bytes(file.read_bytes()[:size])
    (summary,) = find_series(tmp_path)
    assert "1 of the 5 files of the series damaged" in str(summary.refusal)
    assert file.name in str(summary.refusal)
    with pytest.raises(ValueError, match="1 of the 5 files of the series damaged"):
        read_series(tmp_path)


def test_a_file_that_may_belong_to_either_of_two_series_is_refused_by_itself(tmp_path: Path) -> None:
    factory.series(tmp_path)
    for path in factory.series(tmp_path / "b", SeriesInstanceUID="1.2.3"):
        path.rename(tmp_path / f"9{path.name}")
    (tmp_path / "005.dcm").write_bytes(b"")
    refusals = [summary.refusal for summary in find_series(tmp_path)]
    assert sum(refusal is None for refusal in refusals) == 2
    assert any("005.dcm: expected a DICOM" in str(refusal) for refusal in refusals)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_value_of_a_damaged_header_belongs_to_nothing(tmp_path: Path) -> None:
    paths = factory.series(tmp_path / "a")
    data = paths[0].read_bytes().replace(b"\x20\0\x0e\0UI", b"\x20\0\x0e\0\x55\xc2").replace(b"PN", b"P\xc3")
    (tmp_path / "other").write_bytes(data[:-7])
    assert any("other" in str(summary.refusal) for summary in find_series(tmp_path))
    assert np.array_equal(read_series(tmp_path / "a").array, factory.volume().T)


def test_what_is_named_as_no_image_is_left_aside_beside_a_series(tmp_path: Path) -> None:
    factory.series(tmp_path)
    for name in ("readme", "notes.txt", "001.json", "index.html"):
        text_file(tmp_path / name)
    assert np.array_equal(read_series(tmp_path).array, factory.volume().T)


def grown(path: Path, count: int, syntax: str) -> None:
    """Bytes behind the pixels, within their element."""
    data, length = path.read_bytes(), len(factory.pydicom.dcmread(path).PixelData)
    stated = struct.pack(">I" if syntax == factory.BIG else "<I", length + count)
    length_at = len(data) - length - 4
    path.write_bytes(data[:length_at] + stated + data[length_at + 4 :] + b"\1" * count)


@pytest.mark.parametrize("syntax", [factory.EXPLICIT, factory.IMPLICIT, factory.BIG])
@pytest.mark.parametrize(("count", "noted"), [(1, False), (2, True), (3, True), (22, True), (23, True)])
def test_bytes_behind_pixels_are_left_out(tmp_path: Path, syntax: str, count: int, noted: bool) -> None:
    paths = factory.series(tmp_path, syntax=syntax)
    alone = read_series(tmp_path).array
    grown(paths[1], count, syntax)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, alone)
    assert ("1 files have bytes behind their pixels, which are left out" in found.attributes["notes"]) == noted


@pytest.mark.parametrize(("count", "refused"), [(1, False), (10, False), (24, True)])
def test_bytes_behind_many_frames_are_left_out_unless_they_are_one_more(
    tmp_path: Path, count: int, refused: bool
) -> None:
    places = [(0, 0, 2.5 * place) for place in range(5)]
    grown(factory.enhanced(tmp_path / "a.dcm", factory.volume(), places), count, factory.EXPLICIT)
    if refused:
        with pytest.raises(ValueError, match=r"a\.dcm: expected 120 bytes of pixels"):
            read_series(tmp_path)
    else:
        assert np.array_equal(read_series(tmp_path).array, factory.volume().T)


def test_bytes_behind_the_data_set_do_not_count(tmp_path: Path) -> None:
    for path in factory.series(tmp_path):
        path.write_bytes(path.read_bytes() + bytes(70))
    found = read_series(tmp_path)
    assert np.array_equal(found.array, factory.volume().T)
    assert found.attributes["notes"] == ()


@pytest.mark.parametrize("name", ["none.dcm", "none", "none.zip"])
def test_missing_source(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        read_series(tmp_path / name)


@pytest.mark.parametrize("nested", [False, True])
def test_elements_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool) -> None:
    monkeypatch.setattr("qfae_monai.reading.dicom_elements.MAX_READS", 1000)
    sequence = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"  # both of undefined length
    (tmp_path / "bad.dcm").write_bytes(bytes(128) + b"DICM" + (sequence if nested else b"") + bytes(100_000))
    with pytest.raises(ValueError, match=r"bad\.dcm: .*at most 1000 parts"):
        read_series(tmp_path / "bad.dcm")
