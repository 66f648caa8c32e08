"""Slices to files: 8-bit PNG (grey or colours), 16-bit PNG or NPY, in BMAD's folders."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qfae_monai.reading.lesion_values import lesion_of
from qfae_monai.reading.masks import GRID_TOLERANCE, read_mask
from qfae_monai.reading.series import Series, read_series
from qfae_monai.recipes.source import Source
from qfae_monai.transforms.images import grey

__all__ = [
    "FORMATS",
    "GRID_TOLERANCE",
    "ImageAndMask",
    "decode",
    "encode",
    "encode_mask",
    "luminance",
    "output_folder",
    "read_image_and_mask",
]

# An image and its mask, read by the guarded reader and held to one grid.


@dataclass(frozen=True, eq=False)
class ImageAndMask:
    """A volume and, where there is one, the label map on its grid.

    Attributes:
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
    label = read_mask(
        _paths(source.label),
        image.array.shape,
        image.affine,
        series=source.label_series,
        volume=source.volume,
        allow=allow,
    )
    if label.array.shape != image.array.shape:
        raise ValueError(
            f"{label.files[0]}: expected the shape of its image, {image.array.shape}, got {label.array.shape}"
        )
    off = float(np.abs(label.affine - image.affine).max())  # mm
    if not off <= GRID_TOLERANCE:  # `not <=` refuses NaN, too
        raise ValueError(
            f"{label.files[0]}: expected its image's affine within {GRID_TOLERANCE} mm, got a difference of {off:g} mm"
        )
    return ImageAndMask(image, label.array, str(label.files[0]))


def _paths(names: tuple[str, ...]) -> str | tuple[str, ...]:
    return names[0] if len(names) == 1 else names


FORMATS = {"png8": ".png", "png16": ".png", "npy": ".npy"}
TOPS = {"png8": 255, "png16": 65535}  # largest grey value of a file
CLASSES = ("good", "Ungood")  # normal, abnormal: BMAD's words


def encode(image: NDArray[Any], format: str) -> bytes:
    """Bytes of an image file.

    Args:
        image: (H, W), uint8, or float in [0, 1]; or (H, W, 4), uint8: red, green, blue and opacity.
        format: "png8" (rounded to 0..255), "png16" (rounded to 0..65535) or "npy" (float32 in [0, 1]); colours stay
            colours in "png8" and become luminance in "npy", which is what is read of either.

    Raises:
        ValueError: when uint8 is to become 16 bits, or floats are outside of [0, 1].
    """
    if image.ndim == 3 and format == "png8":
        return _png(cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))  # cv2's order
    image = luminance(image)
    is_8_bit = image.dtype == np.uint8
    if not is_8_bit and not (float(image.min()) >= 0 and float(image.max()) <= 1):
        raise ValueError(f"expected values in [0, 1], got {image.min():g} to {image.max():g}")
    if format == "npy":
        return _npy((image / 255 if is_8_bit else image).astype(np.float32))
    if is_8_bit and format != "png8":
        raise ValueError(f"expected an image of more than 8 bits for {format}, got uint8")
    dtype = np.uint8 if format == "png8" else np.uint16
    return _png(image if is_8_bit else np.rint(image * TOPS[format]).astype(dtype))


def encode_mask(mask: NDArray[np.bool_], format: str) -> bytes:
    """Bytes of a mask file: 255 is lesion, 0 is not; in NPY 1 and 0, uint8."""
    return _npy(mask.astype(np.uint8)) if format == "npy" else _png(mask.astype(np.uint8) * 255)


def luminance(image: NDArray[Any]) -> NDArray[Any]:
    """(H, W) of colours (H, W, 4) as every reader of this package sees them; a grey image as it is."""
    return image if image.ndim == 2 else np.asarray(grey(Image.fromarray(image)))


def decode(content: bytes, format: str) -> NDArray[np.float32]:
    """(H, W), float32 in [0, 1], of what `encode` made; colours as luminance."""
    if format == "npy":
        try:
            return np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32)
        except ValueError:  # numpy's text says how to unpickle what else it may be
            raise ValueError("expected an array of numbers, got other bytes") from None
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)  # UNCHANGED: 16 bits stay 16
    if image is None:
        raise ValueError("expected a PNG, got other bytes")
    if image.ndim == 3:
        image = luminance(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA))
    return image.astype(np.float32) / np.float32(TOPS[format])


def output_folder(split: str, abnormal: bool, *, mask: bool = False) -> str:
    """Folder of a slice in BMAD's layout: train/good, and {valid,test}/{good,Ungood}/{img,label}.

    Raises:
        ValueError: when an abnormal slice is to be trained on.
    """
    if split == "train":
        if abnormal:
            raise ValueError("expected normal slices to train on, got an abnormal one")
        return "train/good"
    return f"{split}/{CLASSES[abnormal]}/{'label' if mask else 'img'}"


def _png(image: NDArray[Any]) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes()


def _npy(image: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(image), allow_pickle=False)
    return stream.getvalue()
