"""Acquisition of a scan: the plane that its slices were taken in, and features of its file that need no pixels."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from monai.utils import ensure_tuple
from nibabel.orientations import io_orientation
from numpy.typing import NDArray
from PIL import Image

from qfae_monai.data.volumes import filled_sections, volume_datalist
from qfae_monai.reading.left_aside import counted
from qfae_monai.reading.series_contents import contents_of
from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.volume_files import read_volume_header
from qfae_monai.reading.voxel_files import voxel_files
from qfae_monai.transforms.images import FORMATS

__all__ = [
    "AXIAL",
    "IMAGE_SUFFIXES",
    "PLANES",
    "FileFeatures",
    "acquisition_axis",
    "common_plane",
    "file_features",
    "plane_of",
    "planes_of",
    "trained_axis",
]

# Features of a file that need no pixels: in public data sets size or mode alone can separate normal from abnormal.

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
NIFTI_SUFFIXES = (".nii", ".nii.gz")


class FileFeatures(NamedTuple):
    """file_size: bytes, of all files of a series. channels: as stored. matrix_size: pixels of a slice.

    None where it is not known.
    """

    file_size: int
    channels: int | None = None
    matrix_size: int | None = None


def file_features(source: str | os.PathLike | Sequence[str | os.PathLike]) -> FileFeatures:
    """Features of an image's file, of a folder's files, or of a list of files; headers alone are read.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    paths = [Path(source)] if isinstance(source, str | os.PathLike) else [Path(path) for path in source]
    files = [file for path in paths for file in ([path] if not path.is_dir() else sorted(path.rglob("*")))]
    read = {voxels for file in files if not file.is_dir() for voxels in voxel_files(file)}
    size = sum(file.stat().st_size for file in read)  # bytes
    name = files[0].name.lower() if files else ""
    if name.endswith(IMAGE_SUFFIXES):
        with Image.open(files[0], formats=FORMATS) as image:
            return FileFeatures(size, len(image.getbands()), image.width * image.height)
    if name.endswith(NIFTI_SUFFIXES):
        header = read_volume_header(SourceFile(files[0], files[0]))
        return FileFeatures(size, len(header.dtype.names or "1"), int(header.shape[0] * header.shape[1]))
    return FileFeatures(size)


AXIAL = 2
PLANES = ("sagittal", "coronal", "axial")
"""By the patient's axis that slices lie across: 0 left to right, 1 posterior to anterior, 2 inferior to superior."""
THICKER = 1.2  # a spacing is the distance of slices where it is as many times the smallest
IMAGES = (*IMAGE_SUFFIXES, ".npy")

SECTIONS = ("training", "validation", "test")
LOOKED_AT = 50  # volumes whose headers tell the plane of a data list

logger = logging.getLogger(__name__)


def plane_of(affine: NDArray[np.float64]) -> int | None:
    """Patient axis that slices lie across; None where voxels are about as wide in all directions.

    Args:
        affine: (4, 4), voxel to RAS+ mm.

    Example:
        >>> plane_of(np.diag([0.5, 0.5, 4, 1])), plane_of(np.diag([4.8, 1, 1, 1])), plane_of(np.eye(4))
        (2, 0, None)
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)  # mm
    if max(spacing) < THICKER * min(spacing):
        return None
    return int(io_orientation(affine)[int(np.argmax(spacing)), 0])


def common_plane(planes: Sequence[int | None]) -> tuple[int, str]:
    """The axis that most scans were acquired across, and why, in words; axial where most are alike along all.

    Args:
        planes: of the scans, as `plane_of` gives them.

    Example:
        >>> common_plane([0, 0, 2])
        (0, 'sagittal, the plane that 2 of 3 scans were acquired in')
    """
    counts = Counter(plane for plane in planes if plane is not None)
    alike = len(planes) - sum(counts.values())
    if not counts or alike > sum(counts.values()):
        return AXIAL, f"axial, for voxels are about as wide in all directions in {alike} of {len(planes)} scans"
    plane, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    return plane, f"{PLANES[plane]}, the plane that {count} of {counted(len(planes), 'scan')} were acquired in"


def acquisition_axis(entries: Sequence[Mapping[str, Any]]) -> int:
    """The axis that most volumes of a data list were acquired across, from their headers; it is logged.

    Args:
        entries: as `qfae_monai.data.volume_datalist` gives them; of single images it is 2, which nothing depends on.
    """
    return _logged(tuple((ensure_tuple(entry["image"]), entry.get("volume")) for entry in entries))


def trained_axis(datalist: str | PathLike) -> int:
    """The axis that most training volumes of a data list were acquired across; without training, of its first section.

    At most 50 of them are looked at, evenly taken: headers of thousands of DICOM series take minutes.

    Args:
        datalist: file as in `qfae_monai.data.volume_datalist`; of a folder of images it is 2.
    """
    if Path(datalist).is_dir():
        return AXIAL
    filled = filled_sections(datalist)
    section = next((one for one in (*SECTIONS, *filled) if one in filled), SECTIONS[0])
    return acquisition_axis(volume_datalist(datalist, section, limit=LOOKED_AT))


@lru_cache(maxsize=8)
def _logged(images: tuple[tuple[tuple[str, ...], str | int | None], ...]) -> int:
    """Once for one list: a configuration is asked for this number many times in a run."""
    if all(str(files[0]).lower().endswith(IMAGES) for files, _ in images):
        return AXIAL
    axis, why = common_plane([plane for files, volume in images for plane in planes_of(files, volume)])
    logger.info("slices are cut across axis %d: %s", axis, why)
    return axis


def planes_of(files: Sequence[str], volume: str | int | None = None) -> list[int | None]:
    """Plane of each series of some files, by their headers; none of what is refused."""
    found = contents_of(files[0] if len(files) == 1 else list(files), volume=volume).series
    return [plane_of(one.affine) for one in found if one.affine is not None]
