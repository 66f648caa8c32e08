"""A scan read once: whether training can read it, and what planning needs to know of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from qfae_monai.data.acquisition import plane_of
from qfae_monai.data.scan_picture import image_pixels, keep_picture
from qfae_monai.model.scan import Features, Scan
from qfae_monai.reading import read_series
from qfae_monai.reading.background import background_of, evenly_taken
from qfae_monai.reading.lesion_values import lesion_of
from qfae_monai.reading.masks import GRID_TOLERANCE, read_mask
from qfae_monai.reading.voxel_check import check_voxels

__all__ = ["look_at"]

SAMPLE = 200_000  # values that percentiles are taken of
HU_LUNG_OR_AIR = -500.0
HU_LEAST = -4096.0
PERCENTILES = (0.5, 50.0, 99.5)


def look_at(scan: Scan, allow: Collection[str] = ()) -> Scan:
    """The scan with its features, and with the label that its mask says.

    Raises:
        ValueError: if it would be refused in training, or its mask does not fit.
        OSError: if a file cannot be read.
    """
    if scan.kind == "image":
        array, affine = _image(scan.path), None
    else:
        source = list(scan.files) if scan.path.is_file() else scan.path
        series = read_series(source, volume=scan.volume, allow=allow, include=scan.include)
        array, affine = series.array, series.affine
        scan = replace(scan, modality=scan.modality or str(series.attributes.get("modality") or ""))
        check_voxels(array, scan.path)
    features = _features(array, affine, scan.modality)
    keep_picture(scan.path, scan.volume, array, affine)
    if scan.mask is None:
        return replace(scan, features=features)
    lesion = _has_lesion(scan.mask, scan, array.shape, affine)
    label = "abnormal" if lesion else "normal" if scan.label == "unknown" else scan.label
    return replace(scan, features=features, label=label)


def _image(path: Path) -> NDArray:
    """(rows, columns)."""
    image = image_pixels(path)
    check_voxels(image, path, picture=True)
    return image


def _features(array: NDArray, affine: NDArray | None, modality: str) -> Features:
    values = array.ravel(order="K")
    sample = values[:: max(1, values.size // SAMPLE)]
    low, middle, high = (float(value) for value in np.percentile(sample, PERCENTILES))
    spacing = axes = plane = None
    if affine is not None:
        spacing = tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))  # mm
        axes = tuple(int(axis) for axis in io_orientation(affine)[:, 0])
        plane = plane_of(affine)
    whole = array.dtype.kind in "iu"
    levels = (float(values.min()), low, middle, high, float(values.max()))
    if not modality and affine is not None and levels[0] >= HU_LEAST and low <= HU_LUNG_OR_AIR:
        modality = "CT"
    background = None if affine is None else background_of(evenly_taken(array))
    digest = sha256(f"{array.shape} {array.dtype.str} ".encode())
    digest.update(np.ascontiguousarray(array.T).data)  # volumes lie in Fortran's order
    return Features(
        shape=tuple(array.shape),
        spacing=spacing,
        plane=plane,
        axes=axes,
        levels=levels,
        modality=modality,
        bits=8 * array.dtype.itemsize if whole else 0,
        sha256=digest.hexdigest(),
        background="" if background is None else background.name,
        overshoots=background is not None and background.share_below > 0,
    )


def _has_lesion(mask: Path, scan: Scan, shape: tuple[int, ...], affine: NDArray | None) -> bool:
    """Whether a mask on the scan's grid holds a lesion.

    Raises:
        ValueError: if it lies on another grid.
    """
    if affine is None:
        values = image_pixels(mask)
        apart = None
    else:
        series = read_mask(mask, shape, affine, volume=scan.volume)
        values = series.array
        apart = float(np.abs(series.affine - affine).max())
    if values.shape != shape:
        raise ValueError(f"{mask}: expected a mask of {_size(shape)} as {scan.path.name}, got {_size(values.shape)}")
    if apart is not None and not apart <= GRID_TOLERANCE:
        raise ValueError(f"{mask}: expected a mask on the grid of {scan.path.name}, got one that is {apart:.3g} mm off")
    return bool(lesion_of(values, str(mask)).any())


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
