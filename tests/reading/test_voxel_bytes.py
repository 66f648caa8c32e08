"""NRRD and MetaImage voxels in every encoding, and what a file cannot hold."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from qfae_monai.files import machine_memory
from qfae_monai.reading import read_series

VOXELS = (np.arange(24) - 5).astype("<i2")
RAW = VOXELS.tobytes()
BIG = VOXELS.astype(">i2").tobytes()
TEXT = " ".join(map(str, VOXELS)).encode()


def nrrd(body: bytes, encoding: str = "raw", more: str = "", endian: str = "little") -> tuple[str, bytes]:
    head = f"NRRD0004\n# by hand\ntype: short\ndimension: 3\nsizes: 2 3 4\nkey:=value\nencoding: {encoding}\n{more}"
    order = f"endian: {endian}\n" if endian else ""
    return "a.nrrd", f"{head}{order}\n".encode() + body


def meta(body: bytes, more: str = "", file: str = "LOCAL") -> tuple[str, bytes]:
    head = f"ObjectType = Image\nNDims = 3\n{more}DimSize = 2 3 4\nElementType = MET_SHORT\nElementDataFile = {file}\n"
    return "a.mha", head.encode() + body


PACKED = "BinaryData = True\nCompressedData = True\n"
READ = {
    "raw": nrrd(RAW),
    "big": nrrd(BIG, endian="big"),
    "gzip": nrrd(gzip.compress(RAW), "gzip"),
    "gz": nrrd(gzip.compress(RAW), "gz"),
    "zlib": nrrd(zlib.compress(RAW), "gzip"),
    "ascii": nrrd(TEXT, "ascii"),
    "text with commas": nrrd(TEXT.replace(b" ", b", "), "text"),
    "hex": nrrd(RAW.hex().encode() + b"\n", "hex"),
    "bytes left out": nrrd(b"xxx" + RAW, more="byte skip: 3\n"),
    "last bytes": nrrd(b"xxx" + RAW, more="byte skip: -1\n"),
    "lines left out": nrrd(b"x\ny\n" + RAW, more="line skip: 2\n"),
    "left out behind compression": nrrd(gzip.compress(b"xx" + RAW), "gzip", "byte skip: 2\n"),
    "Windows lines": ("a.nrrd", nrrd(b"")[1].replace(b"\n", b"\r\n") + RAW),
    "meta": meta(RAW, "BinaryData = True\n"),
    "meta by default": meta(RAW),
    "meta big": meta(BIG, "BinaryDataByteOrderMSB = True\n"),
    "meta big by its other name": meta(BIG, "ElementByteOrderMSB = True\n"),
    "meta zlib": meta(zlib.compress(RAW), PACKED),
    "meta gzip": meta(gzip.compress(RAW), PACKED),
    "meta text": meta(TEXT, "BinaryData = False\n"),
    "meta last bytes": meta(b"xxx" + RAW, "HeaderSize = -1\n"),
}


@pytest.mark.parametrize("name", READ)
def test_voxels_are_as_stored(tmp_path: Path, name: str) -> None:
    file, content = READ[name]
    (tmp_path / file).write_bytes(content)
    found = read_series(tmp_path / file).array
    assert found.dtype == np.int16
    assert np.array_equal(found, VOXELS.reshape(2, 3, 4, order="F"))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
def test_what_itk_writes_is_what_was_written(tmp_path: Path, dtype: str, packed: bool, suffix: str) -> None:
    values = np.random.default_rng(0).normal(0, 40, (4, 3, 2)).astype(dtype)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / f"a{suffix}"), packed)
    found = read_series(tmp_path / f"a{suffix}").array
    assert found.dtype == values.dtype
    assert np.array_equal(found, values.T)


COLOURS = [["3 2 3 4", "RGB-color domain domain domain"], ["2 3 4 3", "domain domain domain RGB-color"]]


@pytest.mark.parametrize(("sizes", "kinds"), COLOURS)
def test_colours_are_reduced_wherever_their_axis_is(tmp_path: Path, sizes: str, kinds: str) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 2, 3, 4)).astype(np.uint8)
    stored = colours if sizes.startswith("3") else np.moveaxis(colours, 0, -1)
    head = f"NRRD0004\ntype: uchar\ndimension: 4\nsizes: {sizes}\nkinds: {kinds}\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + stored.tobytes(order="F"))
    found = read_series(tmp_path / "a.nrrd").array
    assert np.array_equal(found, np.rint(np.tensordot([0.299, 0.587, 0.114], colours, 1)))


REFUSED: dict[str, Any] = {
    "short": (nrrd(RAW[:-2]), "truncated, expected 48 bytes"),
    "short text": (nrrd(TEXT[:-3], "ascii"), "truncated, expected 24 numbers"),
    "short hex": (nrrd(RAW.hex().encode()[:-2], "hex"), "truncated"),
    "short behind compression": (nrrd(gzip.compress(RAW[:-2]), "gzip"), "truncated"),
    "cut archive": (nrrd(gzip.compress(RAW)[:-5], "gzip"), "ended before"),
    "damaged archive": (meta(zlib.compress(RAW)[:-1] + b"!", PACKED), "damaged"),  # ITK gave what lay in memory
    "far too much": (nrrd(gzip.compress(bytes(4 << 20)), "gzip"), "more than 48 bytes follow"),
    "words": (nrrd(b"one " * 24, "ascii"), "damaged"),
    "no byte order": (nrrd(RAW, endian=""), "damaged"),
    "bzip2": (nrrd(RAW, "bzip2"), "expected the encoding raw, gzip, ascii or hex"),
    "endless skip": (nrrd(RAW, more="byte skip: 999999999999999\n"), "damaged"),
    "no number": (nrrd(RAW, more="byte skip: 1e9\n"), "byteskip expected a whole number"),
    "header size": (meta(RAW, "HeaderSize = 99999999\n"), "truncated"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    (file, content), message = REFUSED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{file}: .*{message}"):
        read_series(tmp_path / file)


@pytest.mark.parametrize("kind", ["nrrd", "mha"])
def test_memory_is_asked_for_before_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    side = 600
    packed = zlib.compressobj(1)
    content = b"".join(packed.compress(bytes(side * side)) for _ in range(side)) + packed.flush()  # 216 MB in 1 MB
    heads = {
        "nrrd": f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: {side} {side} {side}\nencoding: gzip\n\n",
        "mha": f"NDims = 3\nDimSize = {side} {side} {side}\nElementType = MET_UCHAR\n{PACKED}ElementDataFile = LOCAL\n",
    }
    (tmp_path / f"a.{kind}").write_bytes(heads[kind].encode() + content)
    monkeypatch.setattr(machine_memory, "available_memory", lambda: 1_000_000_000)
    with pytest.raises(ValueError, match=rf"a\.{kind}: .*the 1\.0 GB .*600 x 600 x 600 voxels, which takes 1\.1 GB$"):
        read_series(tmp_path / f"a.{kind}")
