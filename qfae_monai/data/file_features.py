"""Features of a file that need no pixels: in public data sets size or mode alone can separate normal from abnormal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.volume_files import read_volume_header
from qfae_monai.reading.voxel_files import voxel_files
from qfae_monai.transforms.images import FORMATS

__all__ = ["IMAGE_SUFFIXES", "FileFeatures", "file_features"]

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
    size = sum(file.stat().st_size for file in read)
    name = files[0].name.lower() if files else ""
    if name.endswith(IMAGE_SUFFIXES):
        with Image.open(files[0], formats=FORMATS) as image:
            return FileFeatures(size, len(image.getbands()), image.width * image.height)
    if name.endswith(NIFTI_SUFFIXES):
        header = read_volume_header(SourceFile(files[0], files[0]))
        return FileFeatures(size, len(header.dtype.names or "1"), int(header.shape[0] * header.shape[1]))
    return FileFeatures(size)
