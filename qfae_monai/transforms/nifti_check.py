"""Refusal of damaged NIfTI files before they are loaded: readers pass some of them off as scans."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Hashable, Mapping
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import nibabel as nib
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import ensure_tuple
from nibabel.filebasedimages import ImageFileError

from qfae_monai.machine_memory import check_memory

__all__ = ["CheckNiftiFile", "CheckNiftiFileD", "CheckNiftiFileDict", "CheckNiftiFiled"]

CHUNK = 1 << 22  # bytes read at a time
VOXEL_BYTES = 12  # while a volume is loaded: float64 where it is scaled, and the float32 that it becomes


class CheckNiftiFile(Transform):
    """Pass on the path of a NIfTI file, or refuse the file with an error that names it.

    A truncated archive is reported without its name by the readers, and one with flipped bits is read without an error:
    they stop before the checksum at its end. So the file is read once to its end here (about 0.2 s for a brain volume).
    """

    def __call__(self, path: str | PathLike) -> str | PathLike:
        """
        Args:
            path: a file; anything that does not end in .nii or .nii.gz is passed on unchecked.

        Returns:
            ``path`` itself.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when the file is no NIfTI, is truncated, does not match its checksum, or declares more than the
                machine's memory holds.
        """
        name = fspath(path)
        if not name.lower().endswith((".nii", ".nii.gz")):
            return path
        if not Path(name).is_file():
            raise FileNotFoundError(f"{name}: expected a NIfTI file, got no such file.")
        expected = self._size_by_header(name)
        came = self._size_on_disk(name, expected)
        if came < expected:
            raise ValueError(f"{name}: truncated, expected {expected} bytes by its header, got {came}.")
        return path

    @staticmethod
    def _size_by_header(name: str) -> int:
        try:
            image: Any = nib.load(name)
        except (ImageFileError, EOFError, zlib.error, OSError) as error:
            raise ValueError(f"{name}: expected a NIfTI file, got a damaged or foreign one ({error}).") from error
        count = prod(map(int, image.shape))
        check_memory(name, count * VOXEL_BYTES, f"{' x '.join(map(str, image.shape))} voxels")
        return int(image.dataobj.offset) + count * int(image.get_data_dtype().itemsize)

    @staticmethod
    def _size_on_disk(name: str, expected: int) -> int:
        if not name.lower().endswith(".gz"):
            return Path(name).stat().st_size
        size = 0
        try:
            with gzip.open(name) as stream:
                while chunk := stream.read(CHUNK):
                    size += len(chunk)
        except (EOFError, zlib.error, OSError) as error:
            raise ValueError(
                f"{name}: truncated or damaged, expected a gzip archive of {expected} bytes by its header, "
                f"got a broken one ({error})."
            ) from error
        return size


class CheckNiftiFiled(MapTransform):
    """Dictionary twin of :class:`CheckNiftiFile`; stands before ``LoadImaged``.

    Args:
        keys: keys of paths, or of lists of paths. What is already loaded is passed on.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(self, keys: KeysCollection = ("image", "label"), allow_missing_keys: bool = True) -> None:
        super().__init__(keys, allow_missing_keys)
        self.checker = CheckNiftiFile()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            for path in ensure_tuple(d[key]):
                if isinstance(path, str | PathLike):
                    self.checker(path)
        return d


CheckNiftiFileD = CheckNiftiFileDict = CheckNiftiFiled
