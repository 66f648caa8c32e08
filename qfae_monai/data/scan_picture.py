"""A scan as small pictures without brightness, by which near-duplicates are found; read once in a process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from monai.utils import ensure_tuple
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from qfae_monai.data.pictures import LoadPicture, is_image_file, is_picture, picture_of
from qfae_monai.reading.series import read_series
from qfae_monai.transforms.arrays import LoadArray

__all__ = [
    "SIDE",
    "Picture",
    "image_pixels",
    "keep_picture",
    "kept_pictures",
    "picture_key",
    "picture_of_entry",
    "scan_picture",
]

Picture = NDArray[np.int8]
"""(K, SIDE, SIDE): one picture of an image, three of a volume, each from -127 to 127."""

SIDE = 64  # pixels
BLUR = {1: 3.0, 3: 2.0}
"""Pixels of the Gaussian whose local mean is taken away, by number of pictures: a volume's are means, without noise."""
LIMIT = 3.0  # medians of the magnitude, beyond which values are cut off: a burned-in mark must not outweigh the rest

_kept: dict[str, Picture] = {}


def scan_picture(array: NDArray[Any], affine: NDArray[Any] | None = None) -> Picture:
    """Small pictures of a scan: of an image itself, of a volume its means along left-right, back-front and foot-head.

    From each its local mean is taken away, so that neither brightness nor shading counts, and what is left is cut off
    at a limit. Two scans that are alike in shape alone, as all heads and chests are, differ then.

    Args:
        array: (rows, columns) of an image, or (X, Y, Z).
        affine: (4, 4), voxel to RAS+ mm, of a volume.

    Returns:
        (1, 64, 64) or (3, 64, 64); all 0 where a picture is of one grey.

    Example:
        >>> scan_picture(np.eye(128)).shape, scan_picture(np.zeros((5, 6, 7)), np.eye(4)).shape
        ((1, 64, 64), (3, 64, 64))
    """
    if affine is None:
        planes = [array]
    else:
        turned = apply_orientation(array, io_orientation(affine))  # a view, along the axes of RAS+
        planes = [_mean(turned, axis) for axis in range(3)]
    return np.stack([_small(plane, BLUR[len(planes)]) for plane in planes])


def _mean(volume: NDArray[Any], axis: int) -> NDArray[np.float32]:
    """Mean along an axis, over planes taken evenly: 64 to 127 of them are enough, and cost a part of all."""
    step = max(1, volume.shape[axis] // SIDE)
    return np.moveaxis(volume, axis, 0)[::step].mean(0, dtype=np.float32)


def _small(plane: NDArray[Any], blur: float) -> NDArray[np.int8]:
    image = np.ascontiguousarray(plane, dtype=np.float32)
    for axis in (0, 1):  # averaged where there are more pixels, interpolated where there are fewer
        size = (SIDE, image.shape[0]) if axis else (image.shape[1], SIDE)
        how = cv2.INTER_AREA if image.shape[axis] >= SIDE else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.float32)
    detail = image - cv2.GaussianBlur(image, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
    size = np.abs(detail)
    limit = LIMIT * float(np.median(size)) or float(size.max())
    # 1e-5: round-off of a picture of one grey is no detail; NaN is none either
    if not limit > 1e-5 * float(np.abs(image).max()):
        return np.zeros((SIDE, SIDE), np.int8)
    return np.rint(np.clip(detail / limit, -1, 1) * 127).astype(np.int8)


def picture_key(image: Any, volume: object = None) -> str:
    """Text that tells a scan's content as far as its file's name, size and time do.

    Args:
        image: path, or paths of a series, of an entry in a data list.
        volume: which one of several in its series.
    """
    first = Path(ensure_tuple(image)[0]).absolute()
    found = os.stat(first)
    return f"{first}|{volume}|{found.st_size}|{found.st_mtime_ns}"


def keep_picture(image: Any, volume: object, array: NDArray[Any], affine: NDArray[Any] | None) -> None:
    """Take the picture of a scan that was read for another purpose, so that it is not read again."""
    _kept[picture_key(image, volume)] = scan_picture(array, affine)


def kept_pictures() -> dict[str, Picture]:
    """Pictures of all scans that this process has seen, by `picture_key`; those of earlier runs are put into it."""
    return _kept


def picture_of_entry(entry: Mapping[str, Any]) -> Picture | None:
    """Picture of a scan of a data list; None where its reader refuses it, which whoever uses it will say.

    Args:
        entry: with `image`, and `volume` and `include` where it has them.
    """
    try:
        key = picture_key(entry["image"], entry.get("volume"))
        if key not in _kept:
            _kept[key] = _read(entry)
    except (ValueError, OSError):
        return None
    return _kept[key]


def image_pixels(path: Path) -> NDArray[Any]:
    """(rows, columns) of a single image: NPY, PNG, JPEG, BMP, TIFF or a radiograph in DICOM."""
    return np.asarray(_loader(path.suffix.lower() == ".npy")(path))[0]


@cache
def _loader(array: bool) -> LoadArray | LoadPicture:
    """Made once: MONAI asks for every reader that it knows each time."""
    return LoadArray() if array else LoadPicture()


def _read(entry: Mapping[str, Any]) -> Picture:
    files = ensure_tuple(entry["image"])
    path = Path(files[0])
    if path.suffix.lower() == ".npy" or is_image_file(path):
        return scan_picture(image_pixels(path))
    source = path if len(files) == 1 else [Path(file) for file in files]
    read = read_series(source, volume=entry.get("volume"), include=tuple(entry.get("include", ())))
    if is_picture(read):
        return scan_picture(np.asarray(picture_of(read, str(path)))[0])
    return scan_picture(read.array, read.affine)
