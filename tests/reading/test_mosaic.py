"""Mosaics are unpacked where their number and direction are stated, and never read as a slice."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from qfae_monai.reading import read_series
from tests.reading import dicom_factory as factory

TILES, ROWS, COLUMNS = 5, 4, 6
SIDE = 3  # tiles in a row
NORMAL = np.cross(factory.oblique()[:3], factory.oblique()[3:])


def csa(newer: bool, fields: dict[str, list[str]]) -> bytes:
    """A Siemens CSA header."""
    data = b"SV10\4\3\2\1" if newer else b""
    data += struct.pack("<2I", len(fields), 77)
    base = len(next(iter(fields.values())))
    for name, texts in fields.items():
        data += name.encode().ljust(64, b"\0") + struct.pack("<I4s3I", 1, b"FD\0\0", 3, len(texts), 77)
        for text in texts:
            length = len(text) + 1
            first, second = (0, length) if newer else (length + base, 0)
            data += struct.pack("<4I", first, second, 77, 0) + text.encode().ljust(-(-length // 4) * 4, b"\0")
    return data


def sheet() -> tuple[np.ndarray, np.ndarray]:
    """Slices (slices, rows, columns), and the sheet of them."""
    slices = factory.volume((TILES, ROWS, COLUMNS), np.uint16) + 1
    whole = np.zeros((SIDE * ROWS, SIDE * COLUMNS), np.uint16)
    for number, plane in enumerate(slices):
        row, column = divmod(number, SIDE)
        whole[row * ROWS : (row + 1) * ROWS, column * COLUMNS : (column + 1) * COLUMNS] = plane
    return slices, whole


def siemens(path: Path, *, sign: int = 1, newer: bool = True, tiles: bool = True, **elements: Any) -> np.ndarray:
    """A mosaic whose first slice begins at (10, 20, 30); returns its slices."""
    slices, whole = sheet()
    first, second = np.array(factory.oblique()[:3]), np.array(factory.oblique()[3:])
    corner = (
        np.array([10.0, 20.0, 30.0]) - first * (SIDE - 1) * COLUMNS / 2 * 0.9 - second * (SIDE - 1) * ROWS / 2 * 0.7
    )
    dataset = factory.image(
        whole,
        ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        ImagePositionPatient=corner.round(6).tolist(),
        ImageOrientationPatient=list(factory.oblique()),
        PixelSpacing=[0.7, 0.9],
        SpacingBetweenSlices=2.5,
        **elements,
    )
    fields = {"Used": ["1", "2"], "SliceNormalVector": [f"{sign * value:.8f}" for value in NORMAL]}
    if tiles:
        fields["NumberOfImagesInMosaic"] = [str(TILES)]
    block = dataset.private_block(0x29, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa(newer, fields))
    factory.write(path, dataset)
    return slices


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_siemens(tmp_path: Path, sign: int, newer: bool) -> None:
    slices = siemens(tmp_path / "a", sign=sign, newer=newer)
    found = read_series(tmp_path)
    steps = [10, 20, 30] + sign * 2.5 * NORMAL * np.arange(TILES)[:, None]
    order = slices if sign > 0 else slices[::-1]
    expected = factory.true_affine(factory.oblique(), 2.5 * NORMAL, steps[0] if sign > 0 else steps[-1])
    assert np.array_equal(found.array, order.T)
    assert np.allclose(found.affine, expected, atol=1e-4)
    assert "mosaic" in found.attributes["notes"][0]


def test_mosaics_of_a_time_series_are_volumes(tmp_path: Path) -> None:
    for number in (1, 2):
        siemens(tmp_path / str(number), AcquisitionNumber=number, InstanceNumber=number)
    with pytest.raises(ValueError, match="expected one volume, got 2"):
        read_series(tmp_path)
    assert read_series(tmp_path, volume=2).array.shape == (COLUMNS, ROWS, TILES)


@pytest.mark.parametrize("named", [True, False])
def test_what_does_not_say_how_it_is_made_is_refused(tmp_path: Path, named: bool) -> None:
    siemens(tmp_path / "a.dcm", tiles=False)
    with pytest.raises(ValueError, match=r"does not state how many they are: refused \[mosaic\]"):
        read_series(tmp_path / "a.dcm" if named else tmp_path)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    del dataset[0x0029, 0x1010]
    dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", TILES)
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(ValueError, match=r"does not state their place, distance and direction: refused \[mosaic\]"):
        read_series(tmp_path)


@pytest.mark.parametrize("syntax", [factory.EXPLICIT, factory.IMPLICIT])
def test_united_imaging(tmp_path: Path, syntax: str) -> None:
    slices, whole = sheet()
    dataset = factory.image(
        whole,
        ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"],
        ImageOrientationPatient=list(factory.AXIAL),
        ImagePositionPatient=[0, 0, 0],
        PixelSpacing=[0.7, 0.9],
    )
    items = []
    for number in range(TILES):
        item = Dataset()
        item.ImagePositionPatient = [10.0, 20.0, 30.0 + 2.5 * number]
        items.append(item)
    block = dataset.private_block(0x65, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(TILES))
    block.add_new(0x51, "SQ", pydicom.Sequence(items))
    factory.write(tmp_path / "a", dataset, syntax)
    found = read_series(tmp_path)
    assert np.array_equal(found.array, slices.T)
    assert np.allclose(found.affine, factory.true_affine(factory.AXIAL, (0, 0, 2.5)))
