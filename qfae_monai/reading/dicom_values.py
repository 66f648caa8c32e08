"""Real values of stored DICOM numbers: padding told apart, MONOCHROME1 inverted, lookup table or rescaling applied."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfae_monai.reading.compressed_pixels import PIXELS
from qfae_monai.reading.dicom_frames import Frame

__all__ = ["padding_mask", "real_values"]

LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")
"""JPEG's transfer syntaxes that always lose something."""
LOSSY_SLACK = 0.005  # of the range of values: 20 of 4096, what JPEG at usual qualities does to a plain area


def padding_mask(frame: Frame, stored: np.ndarray) -> np.ndarray | None:
    """Mask of stored values equal to the padding value, or in the range from it to its limit.

    Lossy compression moves values: there, what lies about the padding value is padding where it reaches the image's
    border, as what surrounds a reconstruction does; within the body it may be tissue that came to have that value.
    """
    first = frame.file.values.get("PixelPaddingValue")
    if first in (None, "") or frame.file.float_pixels or frame.file.values["SamplesPerPixel"] != 1:
        return None
    last = frame.file.values.get("PixelPaddingRangeLimit")
    bounds = [_as_stored(frame, value) for value in (first, first if last in (None, "") else last)]
    slack = _slack(frame, stored, bounds)
    mask = (stored >= min(bounds) - slack) & (stored <= max(bounds) + slack)
    mask = _from_border(mask) if slack else mask
    return mask if mask.any() else None


def _from_border(near: np.ndarray) -> np.ndarray:
    """The areas of an image (rows, columns) that reach its border."""
    from scipy.ndimage import binary_propagation  # noqa: PLC0415 (slow to import, and rarely of use)

    border = np.ones(near.shape, dtype=bool)  # (rows, columns)
    border[1:-1, 1:-1] = False
    return np.asarray(binary_propagation(border & near, structure=np.ones((3, 3)), mask=near))


def _slack(frame: Frame, stored: np.ndarray, bounds: list[int]) -> int:
    """By how much lossy compression may have moved padding values; 0 where nothing was lost."""
    lossy = str(frame.file.values.get("LossyImageCompression")) == "01" or str(frame.file.syntax) in LOSSY
    if not lossy:
        return 0
    span = max(int(stored.max()), *bounds) - min(int(stored.min()), *bounds)  # stored values
    return max(1, round(LOSSY_SLACK * span))


def _as_stored(frame: Frame, value: Any) -> int:
    """A padding value in the pixels' own signedness, which some writers get wrong."""
    bits = frame.file.values["BitsAllocated"]
    number = int(value) % (1 << bits)
    return number - (1 << bits) if frame.file.values["PixelRepresentation"] and number >> (bits - 1) else number


def real_values(frame: Frame, stored: np.ndarray) -> np.ndarray:
    """(rows, columns): MONOCHROME1 inverted, then modality lookup table or rescaling."""
    header = frame.file.values
    if header.get("ModalityLUTSequence"):
        try:
            return np.asarray(PIXELS.apply_modality_lut(stored, frame.file.dataset))
        except Exception as error:
            raise ValueError(f"{frame.name}: expected a modality lookup table, got a damaged one ({error})") from error
    if str(header.get("PhotometricInterpretation")) == "MONOCHROME1" and not frame.file.float_pixels:
        bits, signed = header["BitsStored"], header["PixelRepresentation"]
        # largest + smallest stored value: 2^bits - 1 unsigned, -1 signed
        stored = ((-1 if signed else (1 << bits) - 1) - stored.astype(np.int64)).astype(stored.dtype)
    return _rescaled(stored, frame.slope, frame.intercept)


def _rescaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Integers stay integers where slope and intercept are; else float32 (float64 from 32 bits on)."""
    if (slope, intercept) == (1.0, 0.0):
        return stored
    if slope.is_integer() and intercept.is_integer() and stored.dtype.kind in "iu":
        ends = [int(slope) * int(end) + int(intercept) for end in (stored.min(), stored.max())]
        for kind in (np.int16, np.int32):
            if -np.iinfo(kind).max <= min(*ends, intercept) and max(*ends, intercept) <= np.iinfo(kind).max:
                return (stored.astype(np.int64) * int(slope) + int(intercept)).astype(kind)
    real: Any = np.float64 if stored.dtype.itemsize >= 4 else np.float32
    return np.asarray(stored, dtype=real) * real(slope) + real(intercept)
