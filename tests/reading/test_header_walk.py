"""The walk over regular headers finds what pydicom finds, or leaves the file to it."""

from __future__ import annotations

import io
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from qfae_monai.reading.dicom_elements import Elements, all_elements, regular_elements
from qfae_monai.reading.dicom_header import is_dicom, read_header
from qfae_monai.reading.header_walk import WINDOW
from qfae_monai.reading.series_files import SourceFile
from tests.reading import dicom_factory as factory


def rich(**elements: Any) -> Dataset:
    """A header with what scanners write: nested sequences, private elements, other letters, what is long or empty."""
    dataset = factory.image(
        factory.volume()[0],
        ImageType=["ORIGINAL", "PRIMARY", "M"],
        SpecificCharacterSet="ISO_IR 192",
        SeriesDescription="Schädel ätherisch",
        PatientName="Müller^Jörg",
        InstanceNumber="7",
        PixelPaddingValue=-3,
        ImagePositionPatient=[1, 2.5, -3],
        AcquisitionTime="",
        ImageComments="x" * (WINDOW + 70),
        **elements,
    )
    inner, outer = Dataset(), Dataset()
    inner.CodeValue = "1"
    outer.ProcedureCodeSequence = [inner, inner]
    dataset.RequestAttributesSequence = [outer, Dataset()]
    dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    dataset.add_new(0x0019100C, "IS", "1000")
    for open_ended in (outer, *outer.ProcedureCodeSequence[1:]):
        open_ended.is_undefined_length_sequence_item = True
    dataset["RequestAttributesSequence"].is_undefined_length = True
    outer["ProcedureCodeSequence"].is_undefined_length = True
    return dataset


def both(data: bytes) -> tuple[Elements | None, Elements]:
    """What the walk finds, and what pydicom does."""
    source = SourceFile(Path("a.dcm"), Path("a.dcm"))
    walked = regular_elements(io.BytesIO(data), data[:WINDOW])
    return walked, all_elements(source, io.BytesIO(data), data[:WINDOW], [])


def stated(found: Elements) -> tuple[Any, ...]:
    elements = [(int(element.tag), element.VR, str(element.value)) for element in found.dataset]
    values = {word: str(value) for word, value in found.values.items()}
    return elements, values, str(found.syntax), found.implicit, found.offset, found.tag, found.head


@pytest.mark.parametrize("syntax", [factory.EXPLICIT, factory.IMPLICIT])
@pytest.mark.parametrize("elements", [{}, {"PixelPaddingValue": 3}, {"RescaleSlope": "2.5"}])
def test_what_is_found_is_what_pydicom_finds(tmp_path: Path, syntax: str, elements: dict[str, Any]) -> None:
    dataset = rich()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    walked, parsed = both(factory.write(tmp_path / "a.dcm", dataset, syntax).read_bytes())
    assert walked is not None
    assert stated(walked) == stated(parsed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", [factory.EXPLICIT, factory.IMPLICIT])
def test_what_is_found_in_damaged_headers_is_what_pydicom_finds(tmp_path: Path, syntax: str) -> None:
    dataset = rich()
    dataset.ImageComments = "short"
    whole = factory.write(tmp_path / "a.dcm", dataset, syntax).read_bytes()
    random = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        data = bytearray(whole)
        for at in random.integers(0, len(data), random.integers(1, 4)):
            data[int(at)] ^= int(random.integers(1, 256))
        if (walked := regular_elements(io.BytesIO(bytes(data)), bytes(data[:WINDOW]))) is not None:
            assert stated(walked) == stated(both(bytes(data))[1])
            found += 1
    assert found > 40


def deflated(path: Path) -> None:
    factory.write(path, rich(), factory.DEFLATED)


def big_endian(path: Path) -> None:
    factory.write(path, rich(), factory.BIG)


def bare(path: Path) -> None:
    path.write_bytes(factory.write(path, rich()).read_bytes()[132:])


def multi_frame(path: Path) -> None:
    factory.enhanced(path, factory.volume(), [(0, 0, float(place)) for place in range(5)])


def without_pixels(path: Path) -> None:
    dataset = rich()
    del dataset.PixelData
    factory.write(path, dataset)


@pytest.mark.parametrize("write", [deflated, big_endian, bare, multi_frame, without_pixels])
def test_what_is_out_of_the_ordinary_is_left_to_pydicom(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "a.dcm")
    data = (tmp_path / "a.dcm").read_bytes()
    assert regular_elements(io.BytesIO(data), data[:WINDOW]) is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_short_header_without_prefix_is_one(order: str) -> None:
    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        return pack(f"{order}2H2sH", group, number, kind, len(value)) + value

    start = element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0") + element(8, 0x60, b"CS", b"OT")
    assert is_dicom(start + element(0x28, 2, b"US", b"\0\0") + bytes(200))
    assert not is_dicom(start + pack(f"{order}2HI", 0x28, 2, 2) + bytes(200))
    assert not is_dicom(bytes(300))


def test_files_share_elements_and_not_what_is_filled_in(tmp_path: Path) -> None:
    one, other = factory.image(factory.volume()[0]), factory.image(factory.volume()[1])
    other.SOPInstanceUID = "1.2.3"
    del one.SamplesPerPixel
    headers = [
        read_header(SourceFile(path, path))
        for path in (factory.write(tmp_path / "1.dcm", one), factory.write(tmp_path / "2.dcm", other))
    ]
    assert headers[0].dataset["Modality"] is headers[1].dataset["Modality"]
    assert [header.values["SamplesPerPixel"] for header in headers] == [1, 1]
    assert "SamplesPerPixel" not in headers[0].dataset
