"""An image and its mask, read by the guarded reader and held to one grid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.reading.lesion_values import lesion_of
from qfae_monai.reading.masks import GRID_TOLERANCE, read_mask
from qfae_monai.reading.series import Series, read_series
from qfae_monai.recipes.source import Source

__all__ = ["GRID_TOLERANCE", "ImageAndMask", "read_image_and_mask"]


@dataclass(frozen=True, eq=False)
class ImageAndMask:
    """A volume and, where there is one, the label map on its grid.

    Args:
        image: the series.
        mask: (X, Y, Z), the label map's values; None where there is none.
        mask_name: of its file, for messages.
    """

    image: Series
    mask: NDArray[Any] | None
    mask_name: str = ""

    @property
    def lesion(self) -> NDArray[np.bool_] | None:
        """(X, Y, Z), True is lesion; None where there is no mask."""
        return None if self.mask is None else lesion_of(self.mask, self.mask_name)

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
    image = read_series(
        _paths(source.image), series=source.series, volume=source.volume, allow=allow, include=source.include
    )
    if not source.label:
        return ImageAndMask(image, None)
    label = read_mask(_paths(source.label), image.array.shape, image.affine, series=source.label_series,
                      volume=source.volume, allow=allow)  # fmt: skip
    if label.array.shape != image.array.shape:
        raise ValueError(
            f"{label.files[0]}: expected the shape of its image, {image.array.shape}, got {label.array.shape}."
        )
    off = float(np.abs(label.affine - image.affine).max())
    if not off <= GRID_TOLERANCE:
        raise ValueError(
            f"{label.files[0]}: expected its image's affine within {GRID_TOLERANCE} mm, got a difference of {off:g} mm."
        )
    return ImageAndMask(image, label.array, str(label.files[0]))


def _paths(names: tuple[str, ...]) -> str | tuple[str, ...]:
    return names[0] if len(names) == 1 else names
