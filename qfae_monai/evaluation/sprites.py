"""The pictures of a run folder as they lie in the page: a case's whole sprite, or the views of one slice."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from qfae_monai.files import read_object
from qfae_monai.files.schema import anything, items, number, optional, record, text, whole
from qfae_monai.files.tables import is_file_name

__all__ = ["Picture", "picture_limits"]

MONTAGE_QUALITY = 88  # of a JPEG cut from a JPEG
FACTS = record(
    {"slices": items(whole()), "tile": whole(1, 8192), "rows": items(text())},
    {"map_limit": optional(number())},
    others=anything,
)
"""Schema of what is noted beside a sprite."""


@dataclass(frozen=True)
class Picture:
    """The sprite of a case: `rows` views of each of `slices`, tiles of `tile` pixels; `path` of the JPEG.

    map_limit: map value that has the brightest colour, None where it was not noted.
    """

    path: Path
    slices: list[int]
    tile: int
    rows: list[str]
    map_limit: float | None

    @classmethod
    def of(cls, folder: Path, case: str) -> Picture | None:
        """The picture in a folder; None where the case has none, as one whose name leads out of the folder."""
        if not is_file_name(case):
            return None
        described = folder / f"{case}.json"
        if not described.is_file():
            return None
        facts = read_object(described, FACTS)
        return cls(
            folder / f"{case}.jpg", facts["slices"], facts["tile"], facts["rows"], map_limit=facts.get("map_limit")
        )

    def uri(self) -> str:
        """The whole sprite."""
        return _data_uri(self.path.read_bytes())

    def column_uri(self, number: int) -> str:
        """All views of one slice, one below the other."""
        column = self.slices.index(number) * self.tile
        stream = BytesIO()
        with Image.open(self.path, formats=["JPEG"]) as sprite:
            sprite.crop((column, 0, column + self.tile, sprite.height)).save(
                stream, "JPEG", quality=MONTAGE_QUALITY, subsampling=0
            )
        return _data_uri(stream.getvalue())


def picture_limits(pictures: Sequence[Picture]) -> tuple[float, float] | None:
    """Smallest and largest value that gets the brightest colour; None where none was noted."""
    limits = [picture.map_limit for picture in pictures if picture.map_limit is not None]
    return (min(limits), max(limits)) if limits else None


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + b64encode(jpeg).decode()
