"""Grey images from image files, at the depth they were stored with (MONAI's reader alone gives palette indices)."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from os import PathLike
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, PILReader
from monai.transforms import LoadImage, MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor
from PIL import Image

from qfae_monai.files.machine_memory import TooLarge, check_memory
from qfae_monai.reading.lesion_values import lesion_of
from qfae_monai.reading.voxel_check import check_voxels

__all__ = [
    "LoadGreyImage",
    "LoadGreyImaged",
    "as_lesion",
    "check_image_memory",
    "grey",
]

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
"""What a file may be, whatever its name ends in: PIL hands PostScript, for one, to a program that runs it."""
BITS_KEY = "bits"  # in the metadata: depth that the file was stored with
BITS_OF_MODE = {"L": 8, "RGB": 8, "I;16": 16}
ORIENTATION = 0x0112  # EXIF: how a camera was held
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation: what makes of the stored picture the one that any viewer shows."""
PIXEL_BYTES = 12  # at most, of all copies while an image is read: decoded (4 for colours and floats), grey, tensor


def grey(img: Image.Image) -> Image.Image:
    """One channel of a PIL image, 16-bit where the file is; colours and palettes become luminance (ITU-R 601).

    Turned as its EXIF orientation says, as any viewer shows it.

    Raises:
        ValueError: when the file has several frames, or colours of 16 bits that PIL would reduce to 8.

    Example:
        >>> grey(Image.new("RGB", (4, 3), (255, 255, 255))).getpixel((0, 0))
        255
    """
    frames = getattr(img, "n_frames", 1)
    if frames != 1:
        raise ValueError(f"expected one frame, got {frames}")
    one = _one_channel(img)
    img.load()  # the tiff plug-in turns by itself then, and other formats know their EXIF
    turn = TURNS.get(img.getexif().get(ORIENTATION, 1))
    return one if turn is None else one.transpose(turn)


def in_colours(img: Image.Image) -> Image.Image:
    """Red, green and blue of a PIL image of 8 bits; what `grey` gives where there is grey alone, or more bits.

    Opacity is left aside, as the released implementation does (PIL's conversion to RGB).

    Raises:
        ValueError: as `grey`.

    Example:
        >>> in_colours(Image.new("RGBA", (4, 3), (112, 123, 143, 255))).mode, in_colours(Image.new("L", (4, 3))).mode
        ('RGB', 'L')
    """
    one = grey(img)
    if one.mode != "L" or img.mode == "L":
        return one
    three = img.convert("RGB")
    turn = TURNS.get(img.getexif().get(ORIENTATION, 1))
    return three if turn is None else three.transpose(turn)


def _one_channel(img: Image.Image) -> Image.Image:
    # a tiff whose byte order torch does not take, and how older Pillow opens a PNG of 16 bits
    if img.mode == "I;16B" or (img.mode == "I" and img.format == "PNG"):
        return Image.fromarray(np.asarray(img).astype(np.uint16))
    if img.mode in ("I", "F", "I;16"):
        return img
    if ";16" in str(getattr(img, "tile", "")):
        raise ValueError(f"expected colours of 8 bits or grey of up to 16, got {img.mode} of 16 bits a channel")
    return img if img.mode == "L" else img.convert("L")


class LoadGreyImage(Transform):
    """Load a png, jpeg, bmp or tiff file with MONAI's PIL reader, rows first, values as stored.

    Args:
        colours: whether there are three channels, red, green and blue, of every image, equal where it is grey; else
            colours become luminance.
    """

    def __init__(self, colours: bool = False) -> None:
        self.colours = colours
        reader = PILReader(converter=in_colours if colours else grey, reverse_indexing=False, formats=FORMATS)
        self.loader = LoadImage(reader=reader, dtype=None, ensure_channel_first=True)
        # what this reader refuses, the default ones behind it would load transposed and without a word
        self.loader.readers = [reader]

    def __call__(self, path: str | PathLike) -> torch.Tensor:
        """
        Args:
            path: file of one image; what its header asks for is compared with the memory there is before it is decoded.

        Returns:
            (1, H, W), or (3, H, W) in colours, integers as stored (floats for floating-point tiff), with the stored
            depth in `meta["bits"]` where the file tells it: 8 or 16.

        Raises:
            ValueError: when the file is damaged, is no image, or cannot be loaded without loss.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # memory decides, not a fixed number
                check_image_memory(path)
                img = self.loader(path)  # (1, H, W)
        except TooLarge:
            raise
        except Exception as error:
            # MONAI reports the whole traceback of its readers; the last line is the reason
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"{path}: expected a readable image, got one that is not ({reason})") from error
        mode = img.meta.get("mode") if isinstance(img, MetaTensor) else None
        if mode in BITS_OF_MODE:
            img.meta[BITS_KEY] = BITS_OF_MODE[mode]
        return self.as_asked(img)

    def as_asked(self, img: torch.Tensor) -> torch.Tensor:
        """(1 or 3, H, W) with three channels where colours are asked for, so that images of both kinds make a batch."""
        return img.expand(3, -1, -1) if self.colours else img


def check_image_memory(path: str | PathLike) -> None:
    """Refuse an image by the size in its header, before anything is decoded.

    Raises:
        OSError: when it is no image.
        TooLarge: when it does not fit into memory.
    """
    with Image.open(path, formats=FORMATS) as header:  # PIL decodes nothing until it is asked for pixels
        width, height = header.size  # pixels
    check_memory(path, width * height * PIXEL_BYTES, f"an image of {width} x {height} pixels")


class LoadGreyImaged(MapTransform):
    """Dictionary twin of `LoadGreyImage`; all images of a dictionary must have one size.

    An image of one value alone is refused: nothing was exposed, or the file is a mask's. Masks may be constant.

    A mask becomes 0 and 1, see `qfae_monai.reading.lesion_values.lesion_of`. Sizes are compared as
    shown: behind the EXIF orientation.

    Args:
        keys: the image's key, then keys of masks.
        allow_missing_keys: whether masks may be absent; the image never may.
        colours: as in `LoadGreyImage`, of the image; a mask has none. None is False.
    """

    LOADER: ClassVar[type[LoadGreyImage]] = LoadGreyImage

    def __init__(
        self,
        keys: KeysCollection = ("image", "label"),
        allow_missing_keys: bool = True,
        colours: bool | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.loader = self.LOADER()
        self.image_loader = self.LOADER(colours=bool(colours))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        first = self.keys[0]
        if first not in d:
            raise KeyError(f"expected an image under the key {first!r}, got the keys {sorted(map(str, d))}")
        for key in self.key_iterator(d):
            path = d[key]
            loader = self.image_loader if key == first else self.loader
            read = isinstance(path, torch.Tensor)  # as a radiograph comes
            d[key] = loader.as_asked(path) if read else loader(path)
            if d[key].shape[1:] != d[first].shape[1:]:
                raise ValueError(
                    f"mask {path} and image {data[first]}: expected one size, "
                    f"got {tuple(d[key].shape[1:])} and {tuple(d[first].shape[1:])} (rows, columns)"
                )
            if key == first:
                check_voxels(convert_to_tensor(d[key], track_meta=False).numpy(), path, picture=True)
            else:
                d[key] = as_lesion(d[key], str(path))
        return d


def as_lesion(label: torch.Tensor, name: str) -> torch.Tensor:
    """A mask as 0 and 1, float32, with its metadata.

    Args:
        label: (1, H, W) or (1, X, Y, Z), as stored.
        name: of its file.
    """
    lesion = lesion_of(convert_to_tensor(label, track_meta=False).numpy(), name)
    return convert_to_dst_type(torch.from_numpy(lesion), label, dtype=torch.float32)[0]
