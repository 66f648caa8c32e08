"""The Gaussian filter in front of downsampling, at the rows that the resampling behind it looks at; others stay 0."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from monai.networks.layers import gaussian_1d
from monai.transforms import GaussianSmooth, Resize, Resized
from monai.utils import convert_to_dst_type, convert_to_tensor, fall_back_tuple, get_equivalent_dtype
from torch.nn.functional import conv2d, pad

__all__ = ["QuickResize", "QuickResized", "smoothed"]

LARGE = 2**18
"""Pixels of images for which this is worth it. PyTorch takes another convolution, with other bits, for one image of
fewer than 20,481 pixels; rows of larger ones are given to it as images of a batch, for which it takes the usual one."""
FEW = 4
"""Rows are filtered one by one where they are less than this part of all, of an image of one channel: copying a window
for each costs, too, and windows of several channels cost more than the whole filter."""


def smoothed(image: torch.Tensor, sigma: tuple[float, float], at: torch.Tensor) -> torch.Tensor:
    """MONAI's `GaussianSmooth` for an image that is then sampled bilinearly.

    On a CPU, rows that are not read are left at 0 where they are the larger part; those that are read have MONAI's
    bits, for each is the same sum.

    Args:
        image: (C, H, W), float32, a plain tensor.
        sigma: of the Gaussian along rows (H) and columns (W), in pixels of the image.
        at: rows that will be sampled, in pixels of the image, any shape: 0.5 reads rows 0 and 1.

    Returns:
        (C, H, W), float32, a plain tensor.
    """
    if image.device.type == "cpu" and image.numel() >= LARGE:
        rows = rows_read(at, image.shape[1])
        if 2 * len(rows) < image.shape[1]:
            out = torch.zeros_like(image)
            out[:, rows] = _filtered_rows(image, sigma, rows)
            return out
    return convert_to_tensor(GaussianSmooth(sigma=sigma)(image), track_meta=False)


def rows_read(at: torch.Tensor, height: int) -> torch.Tensor:
    """Rows of an image of this height, ascending, that bilinear sampling at these rows may look at."""
    # a sampler rounds positions to its own: where one is a whole number, the row on either side may be its neighbour
    rounding = height * 1e-6
    first = torch.cat([(at - rounding).flatten(), (at + rounding).flatten()]).floor().long()
    read = torch.zeros(height, dtype=torch.bool)
    for row in (first, first + 1):
        read[row.clamp(0, height - 1)] = True
    return read.nonzero()[:, 0]


def _filtered_rows(image: torch.Tensor, sigma: tuple[float, float], rows: torch.Tensor) -> torch.Tensor:
    """These R rows of the filtered image: (C, R, W)."""
    along_rows, along_columns = (gaussian_1d(torch.tensor(one)) for one in sigma)
    tails = [(len(kernel) - 1) // 2 for kernel in (along_columns, along_rows)]
    padded = pad(image, [tails[0]] * 2 + [tails[1]] * 2)  # (C, H + k - 1, W + l - 1)
    weight = along_rows[:, None].expand(len(image), 1, -1, 1)  # (C, 1, k, 1)
    if len(image) == 1 and FEW * len(rows) < image.shape[1]:
        few = _one_by_one(padded, weight, rows)
    else:
        few = conv2d(padded[None], weight, groups=len(image))[0][:, rows].transpose(0, 1)
    few = few[:, :, None].contiguous()  # (R, C, 1, W + l - 1)
    few = conv2d(few, along_columns.expand(len(image), 1, 1, -1), groups=len(image))
    return few[:, :, 0].transpose(0, 1)


def _one_by_one(padded: torch.Tensor, weight: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Filtered along rows, each row from a copy of the k rows around it: (R, C, W) of (C, H + k - 1, W)."""
    length = weight.shape[2]
    at_once = max(2, padded.shape[1] // length)  # copies take about as much memory as the image
    parts = []
    for part in rows.tensor_split(max(1, len(rows) // at_once)):
        windows = torch.stack([padded[:, row : row + length] for row in part.tolist()])  # (n, C, k, W)
        parts.append(conv2d(windows, weight, groups=len(padded))[:, :, 0])
    return torch.cat(parts)


class QuickResize(Resize):
    """MONAI's `Resize`, with its output to the last bit, its metadata and its inverse, in less time.

    Where `anti_aliasing` smooths an image (C, H, W) before bilinear downsampling, `smoothed` takes the filter's place.
    """

    def __call__(self, img: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:  # type: ignore[override] # MONAI: data
        """
        Args:
            img: (C, H, W), or of other dimensions, which are left to MONAI.
            given: options of a call of `Resize` in their order there: mode, align_corners, anti_aliasing ...
            named: the same by name.
        """
        options = signature(Resize.__call__).bind(self, img, *given, **named).arguments
        asked = {**vars(self), "lazy": self.lazy, **{key: value for key, value in options.items() if value is not None}}
        if asked["mode"] == "bilinear" and asked["anti_aliasing"] and self._is_plain(img, asked):
            size = fall_back_tuple(self.spatial_size, img.shape[1:])  # (height, width)
            options.update(img=_smoothed_for(img, size), anti_aliasing=False)
        return super().__call__(**{key: value for key, value in options.items() if key != "self"})

    def _is_plain(self, img: torch.Tensor, asked: dict[str, Any]) -> bool:
        """Whether the filter is MONAI's default one, on an image in two dimensions, now."""
        pending = getattr(img, "pending_operations", ()) or asked["lazy"]
        dtype = get_equivalent_dtype(asked["dtype"] or img.dtype, torch.Tensor)
        usual = self.size_mode == "all" and not asked["align_corners"] and asked["anti_aliasing_sigma"] is None
        return usual and not pending and dtype == torch.float32 and img.ndim == 3


class QuickResized(Resized):
    """Dictionary twin of `QuickResize`, in the place of MONAI's `Resized`; see there for the options."""

    def __init__(self, keys: Any, spatial_size: Any, size_mode: str = "all", **options: Any) -> None:
        super().__init__(keys, spatial_size, size_mode, **options)
        self.resizer = QuickResize(spatial_size, size_mode, lazy=self.lazy)


def _smoothed_for(img: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Smoothed as MONAI does before resizing to a smaller size, still with metadata; unchanged before a larger one."""
    plain = convert_to_tensor(img, dtype=torch.float32, track_meta=False)
    factors = torch.tensor(plain.shape[1:]) / torch.tensor(size)  # float32, as MONAI has them
    if not (factors > 1).any():
        return img
    sigma = ((factors - 1) / 2).clamp(min=0).tolist()
    at = (torch.arange(size[0]) + 0.5) * (plain.shape[1] / size[0]) - 0.5  # rows
    out, *_ = convert_to_dst_type(smoothed(plain, (sigma[0], sigma[1]), at), img, dtype=torch.float32)
    return out
