"""Region of interest on a square canvas, as the paper prepares LiverCT."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from monai.data import MetaTensor, get_track_meta, to_affine_nd
from monai.transforms import Transform
from monai.utils import convert_to_dst_type, convert_to_numpy, convert_to_tensor

from qfae_monai.transforms.volume_check import source_name

__all__ = ["RegionCanvas", "bounding_box"]

Box = tuple[int, int, int, int]  # top, left, height, width in pixels

LINEAR_DTYPES = ("uint8", "uint16", "int16", "float32", "float64")  # that cv2 interpolates


def bounding_box(img: torch.Tensor) -> Box:
    """Smallest box around all non-zero pixels of an image (C, H, W), as (top, left, height, width); zeros for none.

    Example:
        >>> bounding_box(torch.tensor([[[0, 0, 0], [0, -3, 5]]]))
        (1, 1, 1, 2)
    """
    # in numpy: torch's reductions, which MONAI's bounding box uses, take longer than the rest of the canvas
    inside = (convert_to_numpy(img) != 0).any(0)  # (H, W), in any channel
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not rows.size:
        return 0, 0, 0, 0
    return int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


class RegionCanvas(Transform):
    """Crop to the bounding box of the non-zero pixels, and paste it on the middle of a black square canvas.

    The region keeps its native size where it fits; otherwise it is scaled by min(size / height, size / width), both
    sides truncated to integers (a side that would become 0 keeps 1 pixel, unlike in the released script, which leaves
    the canvas empty there). An odd remainder puts the region half a pixel to the top and left. An empty image gives an
    empty canvas. Values are kept: any range in, the same range out.

    Args:
        size: side S of the canvas in pixels.
        mode: "bilinear" (cv2's, without smoothing first) for images, "nearest" (pixel centres) for label maps.

    Example:
        >>> img = torch.zeros(1, 5, 5, dtype=torch.uint8)
        >>> img[0, 3, 2:4] = torch.tensor([7, 9], dtype=torch.uint8)
        >>> RegionCanvas(size=3)(img)[0].tolist()
        [[0, 0, 0], [7, 9, 0], [0, 0, 0]]
    """

    def __init__(self, size: int = 224, mode: str = "bilinear") -> None:
        if size < 1:
            raise ValueError(f"expected a size of at least 1 pixel, got {size}")
        if mode not in ("bilinear", "nearest"):
            raise ValueError(f"expected mode 'bilinear' or 'nearest', got {mode!r}")
        self.size = size
        self.mode = mode

    def __call__(self, img: torch.Tensor, region: Box | None = None) -> torch.Tensor:
        """
        Args:
            img: (C, H, W), any range.
            region: top, left, height, width of the region, in pixels of `img`; of another image for a mask. None
                takes the bounding box of all non-zero pixels.

        Returns:
            (C, S, S), the same dtype and range; its affine maps canvas pixels to where they came from.

        Raises:
            ValueError: when the image is not (C, H, W) or of a dtype that cannot be interpolated, or the region is not
                within it.
        """
        image: torch.Tensor = convert_to_tensor(img, track_meta=get_track_meta())
        if image.ndim != 3 or 0 in image.shape:
            raise ValueError(f"{source_name(image)}: expected a slice (C, H, W), got shape {tuple(image.shape)}")
        top, left, height, width = box = bounding_box(image) if region is None else region
        if min(box) < 0 or top + height > image.shape[1] or left + width > image.shape[2]:
            raise ValueError(
                f"{source_name(image)}: expected a region within {tuple(image.shape[1:])} pixels, "
                f"got top, left, height, width {tuple(box)}"
            )
        target = self._place(height, width)  # top, left, height, width on the canvas
        crop = convert_to_numpy(image)[:, top : top + height, left : left + width]  # (C, height, width)
        canvas = _paste(_resize(crop, target[2:], self.mode, image), target, (self.size, self.size))
        out: torch.Tensor = convert_to_dst_type(canvas, image, dtype=image.dtype)[0]
        if isinstance(out, MetaTensor):
            out.affine = out.affine @ to_affine_nd(len(out.affine) - 1, _canvas_to_image(box, target))
        return out

    def _place(self, height: int, width: int) -> Box:
        """Box on the canvas for a region of this size, shrunk where it is too large: top, left, height, width."""
        if height > self.size or width > self.size:
            scale = min(self.size / height, self.size / width)  # canvas pixels for one of the image, below 1
            height, width = max(int(height * scale), 1), max(int(width * scale), 1)
        return (self.size - height) // 2, (self.size - width) // 2, height, width


def _paste(values: np.ndarray, box: Box, shape: tuple[int, int]) -> np.ndarray:
    """Zeros of (C, *shape) with `values` in `box`."""
    top, left, height, width = box
    out = np.zeros((values.shape[0], *shape), values.dtype)
    out[:, top : top + height, left : left + width] = values
    return out


def _resize(values: np.ndarray, size: Sequence[int], mode: str, img: torch.Tensor) -> np.ndarray:
    """(C, H, W) to (C, *size); both modes align the edges of the outer pixels. `img` is for the message."""
    rows, columns = values.shape[1:]
    if mode == "bilinear" and values.dtype.name not in LINEAR_DTYPES:
        raise ValueError(
            f"{source_name(img)}: expected one of {', '.join(LINEAR_DTYPES)} to interpolate, or mode 'nearest', "
            f"got {values.dtype.name}"
        )
    if (rows, columns) == tuple(size):
        return values
    if mode == "bilinear":
        planes = [np.ascontiguousarray(plane) for plane in values]
        return np.stack([cv2.resize(plane, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for plane in planes])
    # pixel under the middle of each new one, in whole numbers: nothing is rounded
    row = (2 * np.arange(size[0]) + 1) * rows // (2 * size[0])
    column = (2 * np.arange(size[1]) + 1) * columns // (2 * size[1])
    return values[:, row[:, None], column]


def _canvas_to_image(region: Box, target: Box) -> np.ndarray:
    """(3, 3) matrix from pixel indices of the canvas to those of the image: pixel edges on pixel edges."""
    matrix = np.eye(3)
    for axis in (0, 1):
        scale = region[axis + 2] / target[axis + 2] if target[axis + 2] else 1.0  # image pixels for one of the canvas
        matrix[axis, axis] = scale
        # pixels; an index is the middle of a pixel, half a pixel behind its edge
        matrix[axis, 2] = region[axis] + (0.5 - target[axis]) * scale - 0.5
    return matrix
