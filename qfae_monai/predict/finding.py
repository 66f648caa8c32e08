"""Result for one scan, for use in Python: map, mask, score, p-value and warnings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import ArrayLike, NDArray

from qfae_monai.anomaly import Calibration
from qfae_monai.data.pictures import is_image_file, is_picture
from qfae_monai.reading import Series, read_series
from qfae_monai.reading.voxel_check import check_voxels

INTEGERS = (np.uint8, np.int8, np.int16, np.int32)  # types of PyTorch


@dataclass(frozen=True)
class Finding:
    """One scan scored.

    Attributes:
        score: of the volume or image, higher is more abnormal.
        p_value: share of normal scans that score as high, NaN without thresholds.
        above_threshold: whether the score is called abnormal; None without a threshold.
        anomaly_map: (X, Y, Z) or (H, W) float32, on the scan's own grid.
        mask: uint8 on the same grid, 1 is above the threshold; None without one.
        slice_scores: (slices,), NaN where a slice was skipped, along `slice_axis` of the scan in RAS orientation.
        slice_axis: 0 sagittal, 1 coronal, 2 axial.
        affine: (4, 4) of the grid, mm in RAS; None of an image.
        warnings: what of the scan lies outside of what the model was trained on.
    """

    score: float
    p_value: float
    above_threshold: bool | None
    anomaly_map: NDArray[np.float32] = field(repr=False)
    mask: NDArray[np.uint8] | None = field(repr=False)
    slice_scores: NDArray[np.float64] = field(repr=False)
    slice_axis: int
    affine: NDArray[np.float64] | None = field(repr=False)
    warnings: tuple[str, ...] = ()


def scan_of(scan: str | Path | ArrayLike, affine: ArrayLike | None) -> Series | Path | MetaTensor:
    """Read a caller's scan: a series, the path of an image, or voxels with their grid.

    Args:
        scan: path of a DICOM folder, volume or image; or voxels (X, Y, Z) in the unit of their modality.
        affine: (4, 4) of voxels, mm in RAS.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a series is refused, or voxels have no affine.
    """
    if isinstance(scan, str | Path):
        if affine is not None:
            raise ValueError(f"affine: expected none beside a path, whose file has its own, got one beside {scan}")
        path = Path(scan)
        if is_image_file(path):
            return path
        read = read_series(path)
        check_voxels(read.array, read.files[0], picture=is_picture(read))
        return read
    voxels = np.asarray(scan)
    if affine is None or voxels.ndim != 3:
        raise ValueError(
            f"scan: expected voxels (X, Y, Z) and their affine, got an array of shape {voxels.shape} and "
            f"{'no affine' if affine is None else 'an affine'}"
        )
    return tensor_of(voxels, np.asarray(affine, dtype=np.float64), "array")


def tensor_of(voxels: NDArray, affine: NDArray, name: str) -> MetaTensor:
    """(1, X, Y, Z) with its affine, and a name for messages; whole numbers share the array's memory, others are copied.

    Args:
        voxels: (X, Y, Z); what is no integer of a type that PyTorch has comes out in float32.
        affine: (4, 4).
        name: of their file.
    """
    if voxels.dtype == np.uint16 and voxels.max(initial=0) <= np.iinfo(np.int16).max:
        voxels = voxels.view(np.int16)  # the same numbers
    if voxels.dtype not in INTEGERS or min(voxels.strides) < 0:
        voxels = voxels.astype(voxels.dtype if voxels.dtype in INTEGERS else np.float32)
    return MetaTensor(torch.as_tensor(voxels)[None], affine=torch.as_tensor(affine), meta={"filename_or_obj": name})


def judged(calibration: Calibration | None, score: float, rate: float) -> tuple[float, float | None, bool | None]:
    """p-value, threshold and verdict of a volume's score; NaN and None without thresholds."""
    if calibration is None:
        return math.nan, None, None
    threshold = calibration.threshold("volume", rate)
    return float(calibration.p_values("volume", score)), threshold, None if threshold is None else score > threshold
