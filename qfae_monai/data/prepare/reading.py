"""An image and its mask, read by the guarded reader and held to one grid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.data.dicom_kinds import INCLUDABLE
from qfae_monai.data.prepare.source import Source
from qfae_monai.data.series import Series, read_series

__all__ = ["GRID_TOLERANCE", "ImageAndMask", "read_image_and_mask"]

GRID_TOLERANCE = 1e-3  # mm: header round-off is below it, a wrong grid far above


@dataclass(frozen=True, eq=False)
class ImageAndMask:
    """A volume and, where there is one, the label map on its grid.

    Args:
        image: the series.
        mask: (X, Y, Z), the label map's values; None where there is none.
    """

    image: Series
    mask: NDArray[Any] | None

    @property
    def burned_in(self) -> str:
        """ "yes", "no", or empty where the header does not say."""
        return {True: "yes", False: "no"}.get(self.image.attributes.get("burned_in_annotation"), "")  # type: ignore[arg-type]


def read_image_and_mask(source: Source, *, allow: Collection[str] = ()) -> ImageAndMask:
    """Read a source.

    Args:
        source: its image, and its label where there is one.
        allow: risks that the reader may let pass.

    Raises:
        FileNotFoundError: when a file is missing.
        ValueError: when the reader refuses image or mask, or they lie on different grids.
    """
    image = read_series(_paths(source.image), series=source.series, allow=allow)
    if not source.label:
        return ImageAndMask(image, None)
    label = read_series(_paths(source.label), series=source.label_series, allow=allow, include=INCLUDABLE)
    if label.array.shape != image.array.shape:
        raise ValueError(
            f"{label.files[0]}: expected the shape of its image, {image.array.shape}, got {label.array.shape}."
        )
    off = float(np.abs(label.affine - image.affine).max())
    if not off <= GRID_TOLERANCE:
        raise ValueError(
            f"{label.files[0]}: expected its image's affine within {GRID_TOLERANCE} mm, got a difference of {off:g} mm."
        )
    return ImageAndMask(image, label.array)


def _paths(names: tuple[str, ...]) -> str | tuple[str, ...]:
    return names[0] if len(names) == 1 else names
