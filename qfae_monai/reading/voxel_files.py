"""Place of the voxels that NRRD and MetaImage headers name: their own file, or one file of the same folder.

What a header names is text from a stranger. Voxels come from nowhere but the file that is checked here: no library is
asked for them, `qfae_monai.reading.voxel_bytes` reads them, and whatever hashes an input hashes that file too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qfae_monai.files.tables import is_file_name
from qfae_monai.reading.series_files import SourceFile

__all__ = ["DETACHING_SUFFIXES", "VoxelPlace", "voxel_files", "voxel_place"]

DETACHING_SUFFIXES = (".nrrd", ".mha", ".mhd")
"""Volumes whose header may name another file."""

HEADER_BYTES = 1 << 20  # that a text header may take
BREAK = rb"(?:\r\n|\r(?!\n)|\n)"
DATA_FILE = re.compile(rb"^[ \t]*ElementDataFile[ \t]*[=:][ \t]*([^\r\n]*)(?:\r?\n|\Z)", re.MULTILINE | re.IGNORECASE)
ORDERS: dict[str, Literal["<", ">"]] = {"little": "<", "big": ">"}
ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "ascii": "text", "text": "text", "txt": "text", "hex": "hex"}
SPATIAL_KINDS = ("domain", "space", "time")  # of an NRRD's axis, which are no colours


@dataclass(frozen=True)
class VoxelPlace:
    """Voxels as they lie in a file.

    Attributes:
        file: that holds them.
        start: bytes in front of them; None when they are the last bytes of the file.
        lines: text lines behind `start` that are left out.
        skip: bytes that are left out in front of the voxels, counted behind decompression.
        encoding: "raw", "gzip" (or zlib), "text" or "hex".
        order: ">" for the most significant byte first, "<" for last, "" where the header does not say.
        colours_last: whether the colours of a voxel are the slowest axis.
    """

    file: SourceFile
    start: int | None
    lines: int = 0
    skip: int = 0
    encoding: str = "raw"
    order: Literal["<", ">", ""] = ""
    colours_last: bool = False


def voxel_files(path: Path) -> tuple[Path, ...]:
    """All files that a volume's voxels come from: the file itself, and the one that its header names.

    Args:
        path: file of any kind.

    Raises:
        ValueError: when the header names what it must not, see `voxel_place`.
    """
    if path.suffix.lower() not in DETACHING_SUFFIXES:
        return (path,)
    voxels = voxel_place(SourceFile(path, path)).file.path
    return (path,) if voxels == path else (path, voxels)


def voxel_place(source: SourceFile) -> VoxelPlace:
    """Find the voxels of an NRRD or MetaImage file; only the text of its header is read.

    Raises:
        ValueError: when the header has no end, not 2 to 4 axes (ITK dies of some others), or names as its voxels'
            place anything but one file of its own folder or of a folder in it, also by way of a symbolic link.
    """
    with source.open() as stream:
        text = stream.read(HEADER_BYTES + 1)
    return _nrrd(source, text) if source.name.suffix.lower() == ".nrrd" else _metaimage(source, text)


def _nrrd(source: SourceFile, text: bytes) -> VoxelPlace:
    found = re.search(BREAK + BREAK, text)
    end = found.end() if found else len(text)
    _check_end(source, end, "a blank line")
    lines = re.split(BREAK, text[:end])[1:]
    fields = _fields((line for line in lines if not line.startswith(b"#")), rb"\s*([^:]+?)\s*:(?!=)\s*(.*)")
    _check_axes(source, fields, "dimension")
    encoding = fields.get("encoding", "").lower()
    skip = _number(source, fields, "byteskip")
    if encoding not in ENCODINGS or (skip < 0 and encoding != "raw"):
        raise ValueError(
            f"{source.name}: expected the encoding raw, gzip, ascii or hex, and a byte skip of 0 or more but in raw, "
            f"got {encoding[:20]!r} and {skip}"
        )
    inside = "datafile" not in fields
    return VoxelPlace(
        source if inside else _beside(source, fields["datafile"], "data file"),
        None if skip < 0 else end if inside else 0,
        lines=_number(source, fields, "lineskip"),
        skip=max(skip, 0),
        encoding=ENCODINGS[encoding],
        order=ORDERS.get(fields.get("endian", "").lower(), ""),
        colours_last=fields.get("kinds", "").lower().split(" ")[0] in SPATIAL_KINDS,
    )


def _metaimage(source: SourceFile, text: bytes) -> VoxelPlace:
    found = DATA_FILE.search(text)
    end = len(text) if found is None else found.end()
    _check_end(source, end if found or len(text) > HEADER_BYTES else HEADER_BYTES + 1, "ElementDataFile")
    assert found is not None
    fields = _fields(re.split(BREAK, text[:end]), rb"\s*([^=:]+?)\s*[=:]\s*(.*)")
    _check_axes(source, fields, "NDims")
    skip, name = _number(source, fields, "headersize"), fields["elementdatafile"]
    inside = name.upper() == "LOCAL"
    encoding = "raw" if fields.get("binarydata", "True")[:1] in "tT1" else "text"
    most_first = fields.get("elementbyteordermsb", fields.get("binarydatabyteordermsb", "False"))[:1] in "tT1"
    return VoxelPlace(
        source if inside else _beside(source, name, "ElementDataFile"),
        None if skip < 0 else skip or (end if inside else 0),
        encoding="gzip" if fields.get("compresseddata", "False")[:1] in "tT1" else encoding,
        order=">" if most_first else "<",
    )


def _check_end(source: SourceFile, end: int, mark: str) -> None:
    if end > HEADER_BYTES:
        raise ValueError(f"{source.name}: expected a header that {mark} ends within {HEADER_BYTES} bytes, got none")


def _fields(lines: Iterable[bytes], pattern: bytes) -> dict[str, str]:
    """Name (lower case, no blanks) -> value, several values joined by commas; what is no field is left aside."""
    fields: dict[str, str] = {}
    for line in lines:
        if (found := re.fullmatch(pattern, line, re.DOTALL)) is None:
            continue
        name, value = (part.decode("utf-8", "replace") for part in found.groups())
        name = name.replace(" ", "").lower()
        fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
    return fields


def _check_axes(source: SourceFile, fields: dict[str, str], key: str) -> None:
    if fields.get(key.lower()) not in ("2", "3", "4"):
        got = fields.get(key.lower(), "none")
        raise ValueError(f"{source.name}: {key} 2 to 4 expected once in its header, got {got[:20]!r}")


def _number(source: SourceFile, fields: dict[str, str], key: str) -> int:
    """A whole number from -1; 0 where there is none."""
    text = fields.get(key, "0")
    if re.fullmatch(r"-1|\d{1,15}", text, re.ASCII) is None:
        raise ValueError(f"{source.name}: {key} expected a whole number from -1, got {text[:20]!r}")
    return int(text)


def _beside(source: SourceFile, name: str, key: str) -> SourceFile:
    """The one file that a header names, within its folder. Messages do not repeat the name: it is text of a header."""
    parts = name.removeprefix("./").split("/")
    if name.upper().startswith("LIST") or "%" in name:  # as ITK takes them
        raise ValueError(f"{source.name}: {key}: its voxels or one file with them expected, got several files")
    if not all(is_file_name(part) for part in parts):
        raise ValueError(
            f"{source.name}: {key}: expected the name of a file in the header's own folder, got an absolute path, "
            "one that leads out of it, or no name"
        )
    if source.member is not None:
        raise ValueError(f"{source.name}: {key}: expected its voxels behind the header in an archive, got another file")
    path = source.path.parent.joinpath(*parts)
    if not path.is_file():
        raise ValueError(f"{source.name}: {key}: expected a file with its voxels beside the header, found none")
    if not path.resolve().is_relative_to(source.path.parent.resolve()):
        raise ValueError(f"{source.name}: {key}: expected a file in the header's own folder, got a link out of it")
    return SourceFile(path, path)
