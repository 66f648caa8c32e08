"""Integer images to [0, 1] by the full range of their depth, so that images of one data set stay comparable."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from qfae_monai.transforms.images import BITS_KEY
from qfae_monai.transforms.volume_check import source_name

__all__ = ["ScaleBitDepth", "ScaleBitDepthd", "check_8_bit_slice"]

BITS_OF_DTYPE = {"uint8": 8, "uint16": 16}


def check_8_bit_slice(img: torch.Tensor) -> None:
    """Refuse what is not a slice (C, H, W) of uint8.

    Raises:
        ValueError: when it is not, naming the file.

    Example:
        >>> check_8_bit_slice(torch.zeros(1, 2, 2))
        Traceback (most recent call last):
        ValueError: image of unknown file: expected uint8 (C, H, W), got float32 of shape (1, 2, 2)
    """
    dtype = str(img.dtype).removeprefix("torch.")
    if img.ndim != 3 or 0 in img.shape or dtype != "uint8":
        raise ValueError(f"{source_name(img)}: expected uint8 (C, H, W), got {dtype} of shape {tuple(img.shape)}")


class ScaleBitDepth(Transform):
    """Divide by 2**bits - 1.

    Args:
        bits: depth of the images: 12 for 12-bit images in a 16-bit file. None takes the depth that `LoadGreyImage`
            found in the file, else the dtype's (uint8 or uint16).

    Example:
        >>> ScaleBitDepth()(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """

    def __init__(self, bits: int | None = None) -> None:
        if bits is not None and not 1 <= bits <= 32:
            raise ValueError(f"expected 1 to 32 bits, got {bits}")
        self.bits = bits

    def __call__(self, img: NdarrayOrTensor) -> torch.Tensor:
        """
        Args:
            img: (1, H, W), or any other shape, integers from 0 to 2**bits - 1.

        Returns:
            The same shape, float32 in [0, 1].

        Raises:
            ValueError: when the image is not of integers, its depth is unknown, or a value does not fit the depth.
        """
        top = 2 ** self._depth(img) - 1
        # float64: float32 has no room for 32 bits, and older torch no minimum of uint16
        values = convert_to_tensor(img, dtype=torch.float64, track_meta=isinstance(img, MetaTensor))
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > top:
            raise ValueError(f"{source_name(img)}: expected values from 0 to {top}, got {low:g} to {high:g}")
        return (values / top).to(torch.float32)

    def _depth(self, img: NdarrayOrTensor) -> int:
        """Depth of an image in bits; asked of the original, as conversion makes int32 of uint16."""
        dtype = str(img.dtype).removeprefix("torch.")
        if "int" not in dtype:
            raise ValueError(f"{source_name(img)}: expected integers, got {dtype}")
        stored = img.meta.get(BITS_KEY) if isinstance(img, MetaTensor) else None
        stored = stored or BITS_OF_DTYPE.get(dtype)
        if self.bits is None and stored is None:
            raise ValueError(f"{source_name(img)}: expected uint8 or uint16, or bits to be given, got {dtype}")
        if self.bits is not None and stored is not None and stored < self.bits:
            raise ValueError(f"{source_name(img)}: expected an image of {self.bits} bits, got one of {stored}")
        return int(self.bits or stored or 0)


class ScaleBitDepthd(MapTransform):
    """Dictionary twin of `ScaleBitDepth`.

    Args:
        keys: keys of the images.
        bits: depth of the images; None takes the file's or the dtype's.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(self, keys: KeysCollection, bits: int | None = None, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scaler = ScaleBitDepth(bits)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.scaler(d[key])
        return d
