"""Single images from image files and from DICOM: radiographs and photographs, at the depth they were stored with."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from qfae_monai.data.image_folder import SUFFIXES, is_dicom
from qfae_monai.reading.left_aside import PICTURE_MODALITIES
from qfae_monai.reading.series import Series, read_series
from qfae_monai.transforms.images import BITS_KEY, LoadGreyImage, LoadGreyImaged

__all__ = [
    "LoadPicture",
    "LoadPictured",
    "is_image_file",
    "is_picture",
    "picture_of",
]


def is_image_file(path: Path) -> bool:
    """Whether a file is PNG, JPEG, BMP or TIFF by its name, and no DICOM under such a name."""
    return path.suffix.lower() in SUFFIXES and not is_dicom(path)


def is_picture(read: Series) -> bool:
    """Whether a series is one image by itself, such as a radiograph."""
    return read.array.shape[2] == 1 and read.attributes.get("modality") in PICTURE_MODALITIES


def picture_of(read: Series, name: str) -> MetaTensor:
    """(1, rows, columns) of one image in DICOM: stored values from 0 on, bright is dense, with the depth they have.

    What a header makes of stored values is undone, as depth alone scales images: where slope and intercept differ from
    image to image, so would what is written as black and white.

    Raises:
        ValueError: when its pixels are no whole numbers of a known depth.
    """
    stored, bits = _stored(read, name)
    pixels = torch.as_tensor(np.ascontiguousarray(stored[..., 0].T))[None]
    return MetaTensor(pixels, meta={"filename_or_obj": name, BITS_KEY: bits})


def _stored(read: Series, name: str) -> tuple[NDArray[np.int32], int]:
    """(columns, rows, 1) as stored, MONOCHROME1 inverted, from 0 on; and their depth."""
    frame = None if read.stack is None else read.stack.frames[0]
    if frame is None or frame.file.float_pixels:
        raise ValueError(f"{name}: expected a single image of whole numbers in DICOM, got other pixels")
    table = frame.file.dataset.get("ModalityLUTSequence")
    if table:
        return read.array.astype(np.int32), int(table[0].LUTDescriptor[2])
    bits = int(read.attributes["bits_stored"])
    lowest = -(1 << bits >> 1) if read.attributes["signed"] else 0
    stored = np.rint((read.array.astype(np.float64) - frame.intercept) / frame.slope) - lowest
    if frame.slope < 0:
        stored = (1 << bits) - 1 - stored  # what was low is dense
    return stored.astype(np.int32), bits


class LoadPicture(LoadGreyImage):
    """Load a single image: an image file as `qfae_monai.transforms.LoadGreyImage` does, else one of DICOM."""

    def __call__(self, path: str | PathLike) -> torch.Tensor:
        """
        Args:
            path: file of one image, or a folder that holds one of DICOM.

        Raises:
            ValueError: when it is refused by its reader, or is a volume.
        """
        if is_image_file(Path(path)):
            return super().__call__(path)
        read = read_series(path)
        if not is_picture(read):
            raise ValueError(f"{path}: expected a single image, as the model was trained on, got a volume")
        return self.as_asked(picture_of(read, str(path)))


class LoadPictured(LoadGreyImaged):
    """Dictionary twin of `LoadPicture`; see `qfae_monai.transforms.LoadGreyImaged`.

    Args:
        keys: the image's key, then keys of masks.
        allow_missing_keys: whether masks may be absent; the image never may.
        colours: whether the image keeps its colours, see `qfae_monai.transforms.LoadGreyImage`.
    """

    LOADER = LoadPicture
