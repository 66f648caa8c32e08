"""Mosaics: the slices of a volume on one sheet, as Siemens (MOSAIC) and United Imaging (VFRAME) store them."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.values import convert_SQ

__all__ = ["MOSAIC_TAGS", "Mosaic", "is_mosaic", "mosaic_of"]

TILES_SIEMENS, CSA_SIEMENS = 0x0019100A, (0x00291010, 0x00291110, 0x00291210)
TILES_UIH, PLANES_UIH = 0x00651050, 0x00651051
CREATORS = (0x00190010, 0x00290010, 0x00290011, 0x00290012, 0x00650010)
MOSAIC_TAGS = (*CREATORS, TILES_SIEMENS, *CSA_SIEMENS, TILES_UIH, PLANES_UIH)
"""Private elements that describe a mosaic, and the names of their owners."""

MAX_TILES = 4096
CSA_HEAD, CSA_TAG, CSA_ITEM = 16, 84, 16  # bytes


@dataclass(frozen=True)
class Mosaic:
    """Layout of slices on a mosaic sheet, row by row from its upper left corner.

    Attributes:
        tiles: how many slices; None where no element says.
        normal: direction from slice to slice, (3,) in LPS; None where no element says.
        positions: place of the first pixel of each slice, (tiles, 3), where the header lists them.
    """

    tiles: int | None
    normal: np.ndarray | None = None
    positions: np.ndarray | None = None

    @property
    def side(self) -> int:
        """Tiles in a row, and in a column."""
        return math.ceil(math.sqrt(self.tiles or 1))

    def windows(self, rows: int, columns: int) -> list[tuple[slice, slice]]:
        """Rows and columns of each tile.

        Raises:
            ValueError: when the sheet cannot be cut into so many tiles.
        """
        if not self.tiles or rows % self.side or columns % self.side:
            raise ValueError(f"expected a sheet that {self.tiles} tiles divide, got {rows} x {columns} pixels")
        height, width = rows // self.side, columns // self.side  # pixels of a tile
        places = [divmod(number, self.side) for number in range(self.tiles)]  # row and column of each tile
        return [(slice(r * height, (r + 1) * height), slice(c * width, (c + 1) * width)) for r, c in places]


def is_mosaic(header: Mapping[str, Any]) -> bool:
    """Whether the image type says that slices lie on one sheet."""
    words = header.get("ImageType") or ()
    words = [words] if isinstance(words, str) else words
    return bool({"MOSAIC", "VFRAME"} & {str(word).strip().upper() for word in words})


def mosaic_of(dataset: Dataset) -> Mosaic:
    """Mosaic layout from the private elements of a header; missing values are None.

    Args:
        dataset: with the elements `MOSAIC_TAGS`.
    """
    if PLANES_UIH in dataset or TILES_UIH in dataset:
        return _united_imaging(dataset)
    fields: dict[str, list[str]] = {}
    for tag in CSA_SIEMENS:
        if tag in dataset and isinstance(dataset[tag].value, bytes):
            fields |= _csa_fields(dataset[tag].value)
    tiles = _whole(dataset[TILES_SIEMENS].value) if TILES_SIEMENS in dataset else None
    stated = fields.get("NumberOfImagesInMosaic") or [""]
    normal = _vector(fields.get("SliceNormalVector") or ())
    return Mosaic(tiles or _whole(stated[0]), normal)


def _united_imaging(dataset: Dataset) -> Mosaic:
    """Each slice has an item with its own position."""
    tiles = _whole(dataset[TILES_UIH].value) if TILES_UIH in dataset else None
    items = dataset[PLANES_UIH].value if PLANES_UIH in dataset else ()
    if isinstance(items, bytes):
        items = _implicit_items(items)
    if not len(items):
        return Mosaic(tiles)
    places = [_vector(item.get("ImagePositionPatient") or ()) for item in items]
    known = [place for place in places if place is not None]
    if len(known) < len(items) or (tiles is not None and tiles != len(items)):
        return Mosaic(tiles)
    return Mosaic(len(items), None, np.array(known))


def _implicit_items(data: bytes) -> Sequence[Dataset]:
    """Items of a sequence whose type an implicit file leaves out; none where they are damaged."""
    try:
        return convert_SQ(data, True, True)
    except Exception:  # pydicom raises whatever its parsing stumbles over: refused as not stated
        return ()


def _csa_fields(data: bytes) -> dict[str, list[str]]:
    """Names and texts of a Siemens CSA header; nothing where it is damaged.

    Either format begins with a number of fields, behind 8 bytes of magic in the newer one. A field has a name of 64
    bytes, five numbers, the fourth of which counts its items, and items of four numbers. One of these is the length of
    the text that follows, padded to four bytes: the second, in the older format the first less the first field's items.
    """
    newer = data[:4] == b"SV10"
    at, base = (CSA_HEAD, 0) if newer else (8, 0)
    fields: dict[str, list[str]] = {}
    try:
        count = struct.unpack_from("<I", data, at - 8)[0]
        for number in range(min(count, 1000)):  # a damaged number must not keep it busy
            name = data[at : at + 64].split(b"\0")[0].decode("latin-1")
            items = struct.unpack_from("<I", data, at + 76)[0]
            base = items if number == 0 else base
            at += CSA_TAG
            texts = []
            for _ in range(min(items, MAX_TILES)):
                first, second = struct.unpack_from("<2I", data, at)
                length = second if newer else first - base
                if not 0 <= length <= len(data):
                    return fields
                texts.append(data[at + CSA_ITEM : at + CSA_ITEM + length].split(b"\0")[0].decode("latin-1").strip())
                at += CSA_ITEM + -(-length // 4) * 4
            fields[name] = [text for text in texts if text]
    except struct.error:
        pass
    return fields


def _whole(value: Any) -> int | None:
    """A number of tiles."""
    try:
        if isinstance(value, bytes) and len(value) in (2, 4):  # unknown to pydicom's dictionary
            value = int.from_bytes(value, "little") if value.strip(b" 0123456789") != b"" else value.decode()
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 1 <= number <= MAX_TILES else None


def _vector(values: Sequence[Any]) -> np.ndarray | None:
    try:
        numbers = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return None
    return numbers if numbers.shape == (3,) and np.isfinite(numbers).all() else None
